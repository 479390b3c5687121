"""Rounding to nearest integers in groups."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from nanoaccel.calibration.rounding import Rounding  # noqa: E402

pytestmark = pytest.mark.export


def test_rounding_tells_its_squared_error() -> None:
    weight = torch.randn(8, 96, generator=torch.Generator().manual_seed(0))
    rounding = Rounding(4, 32, False)
    expected = float((rounding(weight) - weight).square().sum())
    assert rounding.squared_error(weight) == pytest.approx(expected, rel=1e-5)


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
