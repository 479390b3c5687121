"""Losses and gradients of packed texts are those of each text alone, for many architectures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import hybrids

from nanoaccel.testing.tiny_models import make_model

torch = pytest.importorskip("torch")

from nanoaccel.errors import UnsupportedModelError  # noqa: E402
from nanoaccel.finetune.data.encode import Example  # noqa: E402
from nanoaccel.finetune.train.loss import backward_in_chunks, loss_in_chunks  # noqa: E402
from nanoaccel.finetune.train.passes import Passes  # noqa: E402

pytestmark = pytest.mark.export

# Windows and chunks that texts are longer than, soft caps, sinks, scaled logits, lying matrices.
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen3_moe": {},
    "gemma2": {"attn_logit_softcapping": 20.0, "sliding_window": 8, "final_logit_softcapping": 9.0},
    "gemma3_text": {"sliding_window": 8},
    "gpt_oss": {"sliding_window": 8},
    "granite": {},
    "gpt2": {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0},
}


def texts(seed: int = 0) -> list[Example]:
    """Texts of several lengths, some parts of which are learned."""
    source = np.random.default_rng(seed)
    return [
        Example("", source.integers(3, 300, n).astype(np.int32), source.random(n) < 0.6)
        for n in (30, 7, 12, 29, 3, 11)
    ]


def alone(model: Any, examples: list[Example]) -> float:
    """The summed loss by the model itself, a text at a time; gradients are added up."""
    total = 0.0
    for one in examples:
        ids = torch.from_numpy(one.ids.astype(np.int64))
        labels = torch.where(torch.from_numpy(one.taught), ids, -100)
        logits = model(input_ids=ids[None], use_cache=False).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(logits, labels[1:], reduction="sum")
        loss.backward()
        total += float(loss.detach())
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_packed_texts_are_computed_as_each_alone(kind: str) -> None:
    model = make_model(kind, **KINDS[kind])
    passes = Passes(model)
    assert passes.packs
    expected = alone(model, texts())
    wanted = {name: weight.grad for name, weight in model.named_parameters()}
    model.zero_grad()
    found, count = passes.backward(texts(), 1.0)
    assert count == sum(int(one.taught[1:].sum()) for one in texts())
    assert found == pytest.approx(expected, rel=1e-5)
    assert passes.loss(texts())[0] == pytest.approx(expected, rel=1e-5)
    for name, weight in model.named_parameters():
        if wanted[name] is not None:
            assert torch.allclose(weight.grad, wanted[name], rtol=1e-3, atol=1e-3), name
    assert alone(model, texts()) == pytest.approx(expected)  # its own attention is back


@pytest.mark.parametrize("kind", hybrids.CONFIGS)
def test_models_with_a_recurrent_state_are_padded(kind: str) -> None:
    model = hybrids.make_model(kind)
    passes = Passes(model)
    assert not passes.packs
    assert passes.loss(texts())[0] == pytest.approx(alone(model, texts()), rel=1e-4)


def test_a_model_without_a_head_apart_is_refused() -> None:
    model = make_model("llama")
    model.base_model_prefix = "nowhere"
    with pytest.raises(UnsupportedModelError, match="is not made of a decoder and a head"):
        Passes(model)


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_the_loss_in_chunks_has_the_gradient_of_the_whole(rows: int) -> None:
    torch.manual_seed(0)
    states = torch.randn(11, 8, requires_grad=True)
    head = torch.nn.Linear(8, 50)
    targets = torch.randint(50, (11,))
    whole = torch.nn.functional.cross_entropy(head(states), targets, reduction="sum")
    whole.backward()
    wanted = states.grad, head.weight.grad
    states.grad = head.weight.grad = head.bias.grad = None
    found = backward_in_chunks(states * 1, targets, head, 1.0, rows)
    assert found == pytest.approx(whole.item(), rel=1e-5)
    assert loss_in_chunks(states, targets, head, rows) == pytest.approx(found, rel=1e-5)
    assert torch.allclose(states.grad, wanted[0], atol=1e-5)
    assert torch.allclose(head.weight.grad, wanted[1], atol=1e-5)
