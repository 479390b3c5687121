"""How much a model suffers when a part of it is rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nanoaccel.calibration.rounding import Rounding  # noqa: E402
from nanoaccel.calibration.sensitivity import measure_sensitivity  # noqa: E402
from nanoaccel.testing import tiny_models  # noqa: E402

pytestmark = pytest.mark.export

FEW = Rounding(bits=6, group_size=32, symmetric=True)
BACKUP = Rounding(bits=8, group_size=-1, symmetric=True)
WINDOWS = list(np.random.default_rng(0).integers(3, tiny_models.VOCAB_SIZE, (2, 20)))
UNITS = {
    "llama": [
        ("model.layers.{}.self_attn.q_proj", "model.layers.{}.self_attn.k_proj",
         "model.layers.{}.self_attn.v_proj"),
        ("model.layers.{}.self_attn.o_proj",),
        ("model.layers.{}.mlp.gate_proj", "model.layers.{}.mlp.up_proj"),
        ("model.layers.{}.mlp.down_proj",),
    ],
    "gpt2": [
        ("transformer.h.{}.attn.c_attn",), ("transformer.h.{}.attn.c_proj",),
        ("transformer.h.{}.mlp.c_fc",), ("transformer.h.{}.mlp.c_proj",),
    ],
}  # fmt: skip
UNITS["qwen2"] = UNITS["llama"]
ENDS = {"gpt2": [("lm_head",)]}  # its embedding too, as they share their weights
APART = [("lm_head",), ("model.embed_tokens",)]


def ignore(share: float) -> None:
    """Listen to nothing."""


def weights_of(model: Any) -> dict[str, Any]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def logits_of(model: Any) -> Any:
    with torch.inference_mode():
        tokens = torch.from_numpy(np.stack(WINDOWS))
        return model(tokens, use_cache=False).logits.double()


def divergence(expected: Any, found: Any) -> float:
    logs, others = expected.log_softmax(-1), found.log_softmax(-1)
    return float((logs.exp() * (logs - others)).sum(-1).mean())


@pytest.fixture(scope="module", params=["llama", "qwen2", "gpt2"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_measure_groups_projections_that_read_the_same(kind: str) -> None:
    model = tiny_models.make_model(kind)
    shares: list[float] = []
    found = measure_sensitivity(model, WINDOWS, FEW, BACKUP, shares.append)
    expected = [
        tuple(name.format(block) for name in unit) for block in range(3) for unit in UNITS[kind]
    ]
    expected += ENDS.get(kind, APART)
    assert [unit.layers for unit in found] == expected
    assert all(0 < unit.kl_backup < unit.kl for unit in found)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_measure_estimates_the_divergence_of_the_whole_model(kind: str) -> None:
    """Unit by unit within a factor, and on the whole without bias."""
    model = tiny_models.make_model(kind)
    expected = logits_of(model)
    ratios = []
    for unit in measure_sensitivity(model, WINDOWS, FEW, BACKUP, ignore, passes=32):
        rounded = tiny_models.make_model(kind)
        for name in unit.layers:
            module = rounded.get_submodule(name)
            turned = type(module).__name__ == "Conv1D"
            new = FEW(module.weight.data.T if turned else module.weight.data)
            module.weight.data = new.T if turned else new
        ratios.append(unit.kl / divergence(expected, logits_of(rounded)))
    assert all(0.5 < ratio < 2 for ratio in ratios)
    assert 0.85 < np.exp(np.mean(np.log(ratios))) < 1.15


def test_measure_leaves_the_model_as_it_was(kind: str) -> None:
    model = tiny_models.make_model(kind)
    before, said = weights_of(model), logits_of(model)
    measure_sensitivity(model, WINDOWS, FEW, BACKUP, ignore)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(logits_of(model), said)
    model(torch.from_numpy(np.stack(WINDOWS))).logits.sum().backward()  # may be trained on


@pytest.mark.parametrize("fails_at", [0.1, 0.4, 0.6])
def test_measure_leaves_the_model_as_it_was_when_the_listener_fails(fails_at: float) -> None:
    model = tiny_models.make_model("llama")
    before, said = weights_of(model), logits_of(model)

    def fail(share: float) -> None:
        if share > fails_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_sensitivity(model, WINDOWS, FEW, BACKUP, fail)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(logits_of(model), said)
    assert all(weight.requires_grad for weight in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_measure_takes_blocks_for_blocks_where_each_holds_more_experts() -> None:
    model = tiny_models.make_model("llama")
    for layer in model.model.layers:
        layer.experts = torch.nn.ModuleList(torch.nn.Linear(8, 8) for _ in range(9))
    found = measure_sensitivity(model, WINDOWS, FEW, BACKUP, ignore)
    assert found[0].layers[0] == "model.layers.0.self_attn.q_proj"


def test_measure_finds_the_product_of_a_router_that_gives_more() -> None:
    class Router(torch.nn.Linear):
        def forward(self, states: Any) -> Any:
            logits = super().forward(states)
            return logits.sigmoid(), logits

    class Gated(torch.nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner, self.router = inner, Router(64, 64, bias=False)

        def forward(self, states: Any) -> Any:
            return self.inner(states) * self.router(states.clone())[0]

    torch.manual_seed(0)
    model = tiny_models.make_model("llama")
    model.model.layers[1].mlp = Gated(model.model.layers[1].mlp)
    found = {
        unit.layers[0]: unit.kl for unit in measure_sensitivity(model, WINDOWS, FEW, BACKUP, ignore)
    }
    assert found["model.layers.1.mlp.router"] > 0
