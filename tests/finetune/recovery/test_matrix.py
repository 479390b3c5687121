"""A matrix that learns: its gradients, and what a bundle stores of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from nanoaccel.exporters.targets.onnx.stored import StoredWeight  # noqa: E402
from nanoaccel.finetune.recovery.learning.matrix import (  # noqa: E402
    LearnedLinear,
    LearnedMatrix,
)

pytestmark = pytest.mark.export


def stored(
    seed: int = 0, *, zeros: bool = True, sign: int = 0, edits: bool = False
) -> StoredWeight:
    """Random numbers, [6, 64] in groups of 32."""
    chance = np.random.default_rng(seed)
    return StoredWeight(
        key="layer",
        raw=chance.integers(0, 256, (6, 32), np.uint8),
        columns=64,
        bits=4,
        scales=chance.normal(0, 0.05, (6, 2)).astype(np.float16),
        zero_points=chance.integers(0, 16, (6, 2), np.uint8) if zeros else None,
        sign=sign,
        permutation=chance.permutation(64) if edits else None,
        input_scale=chance.uniform(0.5, 2, 64).astype(np.float32) if edits else None,
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 100), st.booleans(), st.sampled_from([0, 0x88]))
def test_what_has_not_learned_is_stored_as_it_was(seed: int, zeros: bool, sign: int) -> None:
    before = stored(seed, zeros=zeros, sign=sign)
    after = LearnedMatrix(before, torch.float32).stored()
    assert np.array_equal(after.raw, before.raw)
    assert np.array_equal(after.scales, before.scales)
    assert after.form() == before.form()
    if zeros:
        assert np.array_equal(after.zero_points, before.zero_points)


@pytest.mark.parametrize("edits", [False, True])
def test_a_linear_gives_what_the_bundle_gives(edits: bool) -> None:
    weight = stored(edits=edits)
    x = torch.randn(5, 64)
    wanted = x.numpy()
    if weight.input_scale is not None:
        wanted = (wanted * weight.input_scale)[:, weight.permutation]
    found = LearnedLinear(LearnedMatrix(weight, torch.float32), torch.ones(6))(x)
    assert np.allclose(found.detach().numpy(), wanted @ weight.dequantize().T + 1, atol=1e-5)


def test_gradients_are_those_of_the_formula() -> None:
    weight = stored()
    matrix = LearnedMatrix(weight, torch.float32)
    x = torch.randn(5, 64, requires_grad=True)
    gain, zero = matrix.gain.detach().clone(), matrix.zero.detach().clone()
    gain.requires_grad_()
    zero.requires_grad_()
    codes = matrix.weight()[1] + matrix.zero.detach()
    scales = torch.from_numpy(weight.scales.astype(np.float32))[..., None]
    same = x.detach().clone().requires_grad_()
    (same @ ((codes - zero) * scales * gain).flatten(1).T).square().sum().backward()
    LearnedLinear(matrix, None)(x).square().sum().backward()
    for found, wanted in ((x, same), (matrix.gain, gain), (matrix.zero, zero)):
        assert torch.allclose(found.grad, wanted.grad, rtol=1e-3, atol=1e-3)


def test_codes_stay() -> None:
    matrix = LearnedMatrix(stored(), torch.float32)
    with torch.no_grad():
        matrix.gain.mul_(1.5)
        matrix.zero.add_(0.7)
    found = matrix.stored()
    assert np.array_equal(found.raw, stored().raw)
    assert np.array_equal(found.zero_points, np.minimum(stored().zero_points + 1, 15))
    assert np.allclose(found.scales, stored().scales * 1.5, rtol=1e-2)
