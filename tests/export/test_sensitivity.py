"""How much a model suffers when a part of it is rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from support import tiny_models  # noqa: E402

from nanoaccel.calibration import sensitivity  # noqa: E402
from nanoaccel.calibration.sensitivity import Rounding, measure_sensitivity  # noqa: E402

pytestmark = pytest.mark.export

FEW = Rounding(bits=3, group_size=32, symmetric=True)
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
    assert shares == pytest.approx(np.arange(1, len(expected) + 1) / len(expected))


def test_measure_gives_the_divergence_of_the_whole_model(kind: str) -> None:
    """Blocks before a unit are not run again; that changes nothing."""
    model = tiny_models.make_model(kind)
    expected = logits_of(model)
    for unit in measure_sensitivity(model, WINDOWS, FEW, BACKUP, ignore):
        rounded = tiny_models.make_model(kind)
        for name in unit.layers:
            module = rounded.get_submodule(name)
            turned = type(module).__name__ == "Conv1D"
            new = FEW(module.weight.data.T if turned else module.weight.data)
            module.weight.data = new.T if turned else new
        assert unit.kl == pytest.approx(divergence(expected, logits_of(rounded)), rel=1e-3)


def test_measure_leaves_the_model_as_it_was(kind: str) -> None:
    model = tiny_models.make_model(kind)
    before, said = weights_of(model), logits_of(model)
    measure_sensitivity(model, WINDOWS, FEW, BACKUP, ignore)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(logits_of(model), said)
    model(torch.from_numpy(np.stack(WINDOWS))).logits.sum().backward()  # may be trained on


@pytest.mark.parametrize("fails_at", [1, 2, 5, 8])
def test_measure_restores_the_weights_when_something_fails(
    fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_models.make_model("llama")
    before, said = weights_of(model), logits_of(model)
    calls = 0
    round_weights = Rounding.__call__

    def fail(self: Rounding, weight: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise MemoryError
        return round_weights(self, weight)

    monkeypatch.setattr(sensitivity.Rounding, "__call__", fail)
    with pytest.raises(MemoryError):
        measure_sensitivity(model, WINDOWS, FEW, BACKUP, ignore)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(logits_of(model), said)


def test_measure_restores_the_blocks_when_the_listener_fails() -> None:
    model = tiny_models.make_model("llama")
    before, said = weights_of(model), logits_of(model)

    def fail(share: float) -> None:
        if share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_sensitivity(model, WINDOWS, FEW, BACKUP, fail)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(logits_of(model), said)


def test_measure_takes_blocks_for_blocks_where_each_holds_more_experts() -> None:
    model = tiny_models.make_model("llama")
    for layer in model.model.layers:
        layer.experts = torch.nn.ModuleList(torch.nn.Linear(8, 8) for _ in range(9))
    found = measure_sensitivity(model, WINDOWS, FEW, BACKUP, ignore)
    assert found[0].layers[0] == "model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize(
    ("group_size", "group"), [(32, 32), (-1, 96), (96, 96), (64, 32), (80, 32), (48, 48)]
)
def test_rounding_errs_by_half_a_step_at_most(
    symmetric: bool, bits: int, group_size: int, group: int
) -> None:
    """A group that does not divide the row becomes the largest power of two that does."""
    torch.manual_seed(0)
    weight = torch.randn(8, 96)
    rounding = Rounding(bits, group_size, symmetric)
    rounded = rounding(weight)
    groups = weight.reshape(8, -1, group)
    if symmetric:
        step = groups.abs().amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)
    else:
        low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
        step = (high.clamp_min(0) - low.clamp_max(0)) / (2**bits - 1)
    error = (rounded.reshape(groups.shape) - groups).abs()
    assert rounded.shape == weight.shape
    assert bool((error <= step / 2 * 1.001 + 1e-6).all())
    assert torch.allclose(rounding(rounded), rounded, atol=1e-5)
    levels = [
        len(row.unique()) for row in (rounded.reshape(groups.shape) / step).round().flatten(0, 1)
    ]
    assert max(levels) <= 2**bits


def test_rounding_takes_a_row_where_no_group_fits() -> None:
    weight = torch.randn(4, 72, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Rounding(4, 64, True)(weight), Rounding(4, -1, True)(weight))


def test_rounding_keeps_type_zeros_and_signs() -> None:
    weight = torch.zeros(2, 32, dtype=torch.bfloat16)
    for symmetric in (True, False):
        rounded = Rounding(4, 32, symmetric)(weight)
        assert rounded.dtype == torch.bfloat16
        assert not rounded.any()
    positive = torch.rand(2, 32, generator=torch.Generator().manual_seed(0)) + 5
    assert bool((Rounding(4, 32, False)(positive) > 4).all())
