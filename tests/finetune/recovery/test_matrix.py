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
    codes = (matrix.steps() + matrix.zero).detach()
    scales = torch.from_numpy(weight.scales.astype(np.float32))[..., None]
    same = x.detach().clone().requires_grad_()
    (same @ ((codes - zero) * scales * gain).flatten(1).T).square().sum().backward()
    LearnedLinear(matrix, None)(x).square().sum().backward()
    for found, wanted in ((x, same), (matrix.gain, gain), (matrix.zero, zero)):
        assert torch.allclose(found.grad, wanted.grad, rtol=1e-3, atol=1e-3)


def test_codes_go_against_the_sign_of_their_gradient() -> None:
    weight = stored(zeros=False)
    matrix = LearnedMatrix(weight, torch.float32)
    matrix.rate = 0.6
    before = matrix.weight()[0]
    slope = torch.randn(6, 64)
    matrix.learn(slope.clone(), matrix.weight()[1])
    moved = matrix.weight()[0] - before
    assert moved.abs().sum() > 0
    assert bool((moved * slope <= 0).all())
    steps = (moved.view(6, 2, 32) / matrix.scale()).round()
    assert steps.abs().max() == 1


def test_shadows_begin_where_the_original_lies() -> None:
    weight = stored()
    exact = torch.from_numpy(weight.dequantize()) + 0.4 * torch.from_numpy(
        np.repeat(weight.scales.astype(np.float32), 32, axis=1)
    )
    matrix = LearnedMatrix(weight, torch.float32, exact)
    assert np.array_equal(matrix.stored().raw, weight.raw)
    matrix.rate = 0.2  # over the border from there, and from nowhere else
    scale = matrix.scale()
    up = -torch.ones(6, 2, 32) * scale.sign()
    before = matrix.steps()
    matrix.learn(up.flatten(1), matrix.weight()[1])
    top = before + matrix.zero.detach().round() == 15
    assert torch.equal(matrix.steps() - before, (~top).float())


def test_codes_stay_where_they_do_not_learn() -> None:
    matrix = LearnedMatrix(stored(), torch.float32)
    matrix.learn(torch.randn(6, 64), matrix.weight()[1])
    assert np.array_equal(matrix.stored().raw, stored().raw)
    assert matrix.gain.grad is not None
