"""The quantized linear of every path, against f64, against each other, and cut into parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.linear_reference import reference
from support.native_linear import ACTIVATIONS, Around, Matrix, PackedLinear, random_matrix

from nanoaccel.runtime.native import find_operators

OPERATORS = find_operators()
pytestmark = pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason)
PATHS = OPERATORS.paths
TOLERANCE = 1e-5  # of the magnitudes that are added


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    """Matrices of all shapes and kinds, their last group padded or not."""
    mx, doubled = (draw(st.integers(0, 3)) == 0 for _ in range(2))
    doubled = doubled and not mx
    group = 32 if mx else draw(st.sampled_from([16, 32, 64, 128, 256]))
    shared = 1 if mx else draw(st.sampled_from([1, 2]))
    groups = shared * draw(st.integers(1, 4))
    gated = draw(st.booleans())
    return random_matrix(
        np.random.default_rng(draw(st.integers(0, 1 << 30))),
        groups * group - draw(st.integers(0, group - 1)),
        draw(st.integers(1, 70)) * (2 if gated else 1),
        bits=4 if mx else 8 if doubled else draw(st.sampled_from([4, 8])),
        group=group,
        zeros=not mx and not doubled and draw(st.booleans()),
        half=draw(st.booleans()),
        shared=shared,
        bias=draw(st.booleans()),
        gated=gated,
        mx=mx,
        doubled=doubled,
    )


def activations(matrix: Matrix, rows: int, seed: int = 0) -> np.ndarray:
    """Rows with a few large numbers, and one that is zero."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, matrix.inputs)).astype(np.float32)
    x[:, ::17] *= 8
    x[rows // 2 :: 7] = 0
    return x


def width(matrix: Matrix) -> int:
    return matrix.outputs // 2 if matrix.gated else matrix.outputs


def around(matrix: Matrix, rows: int, norm: bool, kind: str, add: bool) -> Around:
    """A LayerNorm, an activation and a sum."""
    weights, bias = activations(matrix, 2, 2) if norm else (None, None)
    residual = activations(matrix.with_(inputs=width(matrix)), rows, 1) if add else None
    return Around(weights, bias, centered=norm, activation=kind, residual=residual)


@settings(max_examples=60, deadline=None)
@given(matrices(), st.integers(1, 20), st.sampled_from(ACTIVATIONS), st.booleans())
@pytest.mark.parametrize("path", PATHS)
def test_linear_equals_f64_arithmetic(
    path: str, matrix: Matrix, rows: int, kind: str, add: bool
) -> None:
    x = activations(matrix, rows)
    others = around(matrix, rows, False, kind, add)
    found = PackedLinear(matrix).run(path, x, others)
    wanted, size = reference(matrix, x, others)
    assert np.isfinite(found).all()
    assert (np.abs(found - wanted) <= TOLERANCE * size + 1e-30).all()


@settings(max_examples=40, deadline=None)
@given(matrices(), st.integers(1, 40), st.integers(1, 9), st.booleans())
@pytest.mark.parametrize("path", PATHS)
def test_linear_of_a_row_is_the_same_bits_in_any_company(
    path: str, matrix: Matrix, rows: int, parts: int, normalize: bool
) -> None:
    x = activations(matrix, rows)
    others = around(matrix, rows, normalize, "gelu", False)
    linear = PackedLinear(matrix)
    alone = np.concatenate([linear.run(path, x[m : m + 1], others) for m in range(rows)])
    together = linear.run(path, x, others, parts=parts)
    np.testing.assert_array_equal(alone.view(np.int32), together.view(np.int32))


@settings(max_examples=60, deadline=None)
@given(matrices(), st.integers(1, 20), st.booleans(), st.sampled_from(ACTIVATIONS))
def test_linear_is_the_same_bits_on_every_path(
    matrix: Matrix, rows: int, normalize: bool, kind: str
) -> None:
    x = activations(matrix, rows)
    others = around(matrix, rows, normalize, kind, True)
    linear = PackedLinear(matrix)
    found = [linear.run(path, x, others).view(np.int32) for path in PATHS]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.parametrize("path", PATHS)
def test_linear_of_many_rows_is_that_of_few(path: str) -> None:
    matrix = random_matrix(np.random.default_rng(3), 320, 48, group=64)
    x = activations(matrix, 1100)
    linear = PackedLinear(matrix)
    whole = linear.run(path, x, parts=8)
    pieces = np.concatenate([linear.run(path, x[m : m + 99]) for m in range(0, 1100, 99)])
    np.testing.assert_array_equal(whole.view(np.int32), pieces.view(np.int32))


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_linear_normalizes_its_input(path: str, centered: bool) -> None:
    """A code that rounds the other way moves a sum by a hundredth at most."""
    matrix = random_matrix(np.random.default_rng(5), 200, 64, shared=1)
    x, (norm, bias) = activations(matrix, 9) + 3, activations(matrix, 2, 6)
    others = Around(norm, bias if centered else None, 1e-6, centered)
    found = PackedLinear(matrix).run(path, x, others)
    wanted, size = reference(matrix, x, others)
    assert (np.abs(found - wanted) <= 0.01 * size).all()
    assert (np.abs(found - wanted) <= TOLERANCE * size).mean() > 0.9


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("path", PATHS)
def test_linear_does_not_overflow_at_its_limits(path: str, bits: int) -> None:
    """The largest codes, zero points and activations, of equal sign."""
    matrix = random_matrix(np.random.default_rng(0), 512, 32, bits=bits, group=256, zeros=True)
    for code, zero in ((255, 0), (0, 255)):
        extreme = matrix.with_(
            codes=np.full_like(matrix.codes, code), zeros=np.full_like(matrix.zeros, zero)
        )
        x = np.ones((5, 512), np.float32)
        x[1] = -1
        wanted, size = reference(extreme, x)
        found = PackedLinear(extreme).run(path, x)
        assert (np.abs(found - wanted) <= TOLERANCE * size).all()


@pytest.mark.parametrize("path", PATHS)
def test_linear_takes_tiny_numbers_as_zeros_and_keeps_infinite_ones_apart(path: str) -> None:
    matrix = random_matrix(np.random.default_rng(0), 64, 16)
    x = np.full((3, 64), 1e-40, np.float32)
    x[1, 5] = np.inf
    x[2] = 1
    found = PackedLinear(matrix).run(path, x)
    assert (found[0] == 0).all()
    assert not np.isfinite(found[1]).any()
    np.testing.assert_array_equal(found[2], PackedLinear(matrix).run(path, x[2:])[0])


@pytest.mark.parametrize("bits", [4, 8])
def test_linear_is_the_same_bits_on_every_path_behind_what_is_no_number(bits: int) -> None:
    """A NaN hides the largest number before it."""
    matrix = random_matrix(np.random.default_rng(0), 64, 16, bits=bits, group=64, zeros=True)
    x = np.ones((2, 64), np.float32)
    x[:, 0], x[:, 16] = (3e38, -3e38), np.nan
    first, *others = (PackedLinear(matrix).run(path, x) for path in PATHS)
    for other in others:
        np.testing.assert_array_equal(other.view(np.int32), first.view(np.int32))


MALFORMED = {
    "codes do not fit": lambda m: m.with_(codes=m.codes[:, :-1]),
    "scales do not fit": lambda m: m.with_(scales=m.scales[:, :-1]),
    "zero points do not fit": lambda m: m.with_(zeros=m.codes.reshape(-1)[:5]),
    "bias does not fit": lambda m: m.with_(bias=np.zeros(3, np.float32)),
    "bits is neither": lambda m: m.with_(bits=3),
    "block_size is no power of two": lambda m: m.with_(group=48),
    "block_size is no power": lambda m: m.with_(group=512),
    "K is out of range": lambda m: m.with_(inputs=0),
    "N is out of range": lambda m: m.with_(outputs=-4),
    "N is odd": lambda m: m.with_(outputs=31, gated=True),
}


@pytest.mark.parametrize("message", MALFORMED)
def test_linear_refuses_tensors_that_do_not_fit(message: str) -> None:
    matrix = random_matrix(np.random.default_rng(0), 128, 32)
    with pytest.raises(ValueError, match=message):
        PackedLinear(MALFORMED[message](matrix))


EXPONENTS = np.full((32, 4), 120, np.uint8)
MALFORMED_MX = {
    "exponents go with codes of 4 bits in groups of 32": {
        "group": 64,
        "exponents": EXPONENTS[:, :2],
    },
    "scales do not fit": {"exponents": EXPONENTS[:, :3]},
    "zero points do not go": {"zeros": np.zeros((32, 2), np.uint8)},
    "scales are not finite": {"exponents": EXPONENTS + 135},
}


@pytest.mark.parametrize("message", MALFORMED_MX)
def test_linear_refuses_exponents_that_do_not_fit(message: str) -> None:
    matrix = random_matrix(np.random.default_rng(0), 128, 32, mx=True)
    with pytest.raises(ValueError, match=message):
        PackedLinear(matrix.with_(**MALFORMED_MX[message]))


@pytest.mark.parametrize("path", PATHS)
def test_linear_multiplies_every_number_of_mxfp4(path: str) -> None:
    """Each code, with exponents from the least to the largest, exactly."""
    codes = np.arange(16, dtype=np.uint8).repeat(16)[:, None, None] | np.zeros((1, 1, 16), np.uint8)
    exponents = np.linspace(0, 254, 256).astype(np.uint8)[:, None]
    matrix = random_matrix(np.random.default_rng(0), 32, 256, mx=True)
    matrix = matrix.with_(codes=codes, exponents=exponents)
    x = np.zeros((1, 32), np.float32)
    x[0, 0] = 127
    found = PackedLinear(matrix).run(path, x / 2**12)
    wanted, _ = reference(matrix, x / 2**12)
    np.testing.assert_array_equal(found, wanted.astype(np.float32))
