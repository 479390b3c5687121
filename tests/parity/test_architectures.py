"""Exported in f32, every architecture gives torch's logits and torch's greedy text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanoaccel.testing import tiny_models

torch = pytest.importorskip("torch")

from nanoaccel.bundle import Bundle  # noqa: E402
from nanoaccel.errors import UnsupportedModelError  # noqa: E402
from nanoaccel.exporters.pipeline import export  # noqa: E402
from nanoaccel.exporters.quantize.recipe import Recipe  # noqa: E402
from nanoaccel.runtime.backends import BackendOptions  # noqa: E402
from nanoaccel.runtime.backends.openvino import load  # noqa: E402
from nanoaccel.runtime.llm import LLM  # noqa: E402
from nanoaccel.runtime.sampling import SamplingParams  # noqa: E402
from nanoaccel.runtime.types.plan import StepPlan  # noqa: E402

pytestmark = pytest.mark.export

# Whose parts others have, here or in tests/sweep.
_NIGHTLY = ("gemma3_text", "granite", "mistral", "mixtral", "olmo", "olmo2", "qwen2", "smollm3")
_LENGTHS = (1, 2000, 31, 513, 32, 33, 100, 1000, 2)
_COMPARED = 100


def prompts(count: int, vocab_size: int) -> list[list[int]]:
    random = np.random.default_rng(count)
    return [random.integers(3, vocab_size, length).tolist() for length in _LENGTHS[:count]]


def torch_logits(model, ids: list[int]) -> np.ndarray:
    """Logits of the last tokens; all of a long prompt would take gigabytes."""
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0, -_COMPARED:].float().numpy()


def torch_choices(model, ids: list[int], text: tuple[int, ...]) -> tuple[int, ...]:
    """What torch finds likeliest at each place of a text; all of it, and it is torch's own text.

    One pass tells, where to write it would take one for each token.
    """
    whole = torch.tensor([[*ids, *text[:-1]]])
    with torch.inference_mode():
        logits = model(whole, logits_to_keep=len(text)).logits[0]
    assert len(logits) == len(text)
    return tuple(logits.argmax(-1).tolist())


def whole_prompts(sequences: list[list[int]], block_size: int) -> StepPlan:
    """All tokens of all sequences in one step, with logits for the last ones of each."""
    lengths = [len(ids) for ids in sequences]
    blocks = [-(-length // block_size) for length in lengths]
    ends = np.cumsum(lengths)
    rows = [
        np.arange(max(end - n, end - _COMPARED), end) for n, end in zip(lengths, ends, strict=True)
    ]
    return StepPlan(
        token_ids=np.concatenate(sequences).astype(np.int64),
        positions=np.concatenate([np.arange(n) for n in lengths]).astype(np.int64),
        seq_begins=np.cumsum([0, *lengths]).astype(np.int32),
        past_lens=np.zeros(len(lengths), np.int32),
        block_ids=np.arange(sum(blocks), dtype=np.int32),
        block_begins=np.cumsum([0, *blocks]).astype(np.int32),
        logits_rows=np.concatenate(rows).astype(np.int64),
    )


def check_parity(folder: Path, model, vocab_size: int, batches: tuple[int, ...]) -> None:
    opened = Bundle.open(folder)
    backend = load(BackendOptions(graph=opened.graph, precision="f32"))
    backend.allocate_cache(256)
    batch = prompts(batches[-1], vocab_size)
    logits = backend.forward(whole_prompts(batch, backend.info.block_size)).logits
    expected = np.concatenate([torch_logits(model, ids) for ids in batch])
    scale = np.abs(expected).max()
    assert np.abs(logits - expected).max() < 1e-3 * max(1.0, scale / 20)
    backend.close()

    params = SamplingParams(max_tokens=64, ignore_eos=True)
    with LLM(folder, precision="f32") as llm:
        texts = [
            [output.token_ids for output in llm.generate(batch[:count], params)]
            for count in batches
        ]
    assert [len(text) for text in texts[-1]] == [64] * len(batch)
    assert [torch_choices(model, *pair) for pair in zip(batch, texts[-1], strict=True)] == texts[-1]
    for count, some in zip(batches, texts, strict=True):
        assert some == texts[-1][:count]


def check_hidden_states(folder: Path, model, vocab_size: int) -> None:
    """What the graph tells of its first and its last layer is what they give in torch."""
    decoder = model.get_decoder()
    layers = decoder.h if hasattr(decoder, "h") else decoder.layers
    told = (0, len(layers) - 1)
    seen: dict[int, np.ndarray] = {}

    def note(place: int, output) -> None:
        states = output[0] if isinstance(output, tuple) else output
        seen[place] = states.reshape(-1, states.shape[-1]).numpy().copy()

    for place in told:
        layers[place].register_forward_hook(lambda _, __, output, at=place: note(at, output))
    backend = load(
        BackendOptions(graph=Bundle.open(folder).graph, precision="f32", hidden_layers=told)
    )
    backend.allocate_cache(16)
    (ids,) = prompts(1, vocab_size)
    ids = ids * 40
    with torch.inference_mode():
        model(torch.tensor([ids]))
    found = backend.forward(whole_prompts([ids], backend.info.block_size)).hidden
    backend.close()
    expected = np.concatenate([seen[place] for place in told], -1)
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.nightly] if kind in _NIGHTLY else [])
        for kind in sorted(tiny_models.CONFIGS)
    ],
)
def test_export_gives_torch_logits_and_text(kind: str, tmp_path: Path) -> None:
    source = tiny_models.write_model(tmp_path / "model", kind)
    try:
        export(
            source,
            tmp_path / "bundle",
            recipe=Recipe(weights="f32"),
            judge_tokens=512,
            runtime="openvino",
        )
    except UnsupportedModelError as error:
        if "pip install" in str(error):  # it names the transformers version that would do
            pytest.skip(str(error))
        raise
    model = tiny_models.make_model(kind)
    check_parity(tmp_path / "bundle", model, tiny_models.VOCAB_SIZE, (1, 4, 9))
    check_hidden_states(tmp_path / "bundle", model, tiny_models.VOCAB_SIZE)


@pytest.mark.nightly
@pytest.mark.sample
def test_sample_model_gives_torch_logits_and_text(
    sample_gguf: Path, sample_bundle_f32: Path
) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        sample_gguf.parent, gguf_file=sample_gguf.name, dtype=torch.float32
    ).eval()
    check_parity(sample_bundle_f32, model, 49152, (1, 4))
