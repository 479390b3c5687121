"""The float linear of every path, against f64, against each other, and cut into parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.native_float import (
    FORMATS,
    FloatMatrix,
    PackedFloat,
    code_matrix,
    float_matrix,
    reference,
)
from support.native_linear import ACTIVATIONS, Around

from nanoaccel.runtime.native import find_operators

OPERATORS = find_operators()
pytestmark = pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason)
PATHS = OPERATORS.paths
TOLERANCE = 1e-5  # of the magnitudes that are added


@st.composite
def matrices(draw: st.DrawFn) -> FloatMatrix:
    """Matrices of all shapes, types and layouts."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    gated = draw(st.booleans())
    outputs = draw(st.integers(1, 70)) * (2 if gated else 1)
    bias = rng.normal(size=outputs).astype(np.float32) if draw(st.booleans()) else None
    stored = draw(st.sampled_from(["f32", "f16", "bf16", "integers", "nf4", "fp4"]))
    if stored in ("f32", "f16", "bf16"):
        weights = rng.normal(size=(outputs, draw(st.integers(1, 700)))).astype(np.float32)
        return float_matrix(weights, stored, rows=draw(st.booleans()), bias=bias, gated=gated)
    group = draw(st.sampled_from([16, 32, 48, 64, 128, 256, 512]))
    inputs = draw(st.integers(1, 4)) * group
    more = {"group": group, "half": draw(st.booleans()), "bias": bias, "gated": gated}
    if stored != "integers":
        return code_matrix(rng, inputs, outputs, stored, **more)
    inputs -= draw(st.integers(0, group - 1))
    more |= {"bits": draw(st.sampled_from([4, 8])), "zeros": draw(st.booleans())}
    return code_matrix(rng, inputs, outputs, stored, **more)


def activations(inputs: int, rows: int, seed: int = 0) -> np.ndarray:
    """Rows with a few large numbers."""
    x = np.random.default_rng(seed).normal(size=(rows, inputs)).astype(np.float32)
    x[:, ::17] *= 8
    return x


def around(matrix: FloatMatrix, rows: int, norm: bool, kind: str, add: bool) -> Around:
    """A LayerNorm, an activation and a sum."""
    weights, bias = activations(matrix.weights.shape[1], 2, 2) if norm else (None, None)
    residual = activations(matrix.width, rows, 1) if add else None
    return Around(weights, bias, centered=norm, activation=kind, residual=residual)


@settings(max_examples=80, deadline=None)
@given(matrices(), st.integers(1, 20), st.sampled_from(ACTIVATIONS), st.booleans())
@pytest.mark.parametrize("path", PATHS)
def test_float_linear_equals_f64_arithmetic(
    path: str, matrix: FloatMatrix, rows: int, kind: str, add: bool
) -> None:
    x = activations(matrix.weights.shape[1], rows)
    others = around(matrix, rows, False, kind, add)
    found = PackedFloat(matrix).run(path, x, others)
    wanted, size = reference(matrix, x, others)
    assert (np.abs(found - wanted) <= TOLERANCE * size + 1e-30).all()


@settings(max_examples=60, deadline=None)
@given(matrices(), st.integers(1, 150), st.integers(1, 9), st.booleans())
@pytest.mark.parametrize("path", PATHS)
def test_float_linear_of_a_row_is_the_same_bits_in_any_company(
    path: str, matrix: FloatMatrix, rows: int, parts: int, normalize: bool
) -> None:
    x = activations(matrix.weights.shape[1], rows)
    others = around(matrix, rows, normalize, "gelu", False)
    linear = PackedFloat(matrix)
    alone = np.concatenate([linear.run(path, x[m : m + 1], others) for m in range(rows)])
    together = linear.run(path, x, others, parts=parts)
    np.testing.assert_array_equal(alone.view(np.int32), together.view(np.int32))


@settings(max_examples=80, deadline=None)
@given(matrices(), st.integers(1, 20), st.booleans(), st.sampled_from(ACTIVATIONS))
def test_float_linear_is_the_same_bits_on_every_path(
    matrix: FloatMatrix, rows: int, normalize: bool, kind: str
) -> None:
    x = activations(matrix.weights.shape[1], rows)
    others = around(matrix, rows, normalize, kind, True)
    linear = PackedFloat(matrix)
    found = [linear.run(path, x, others).view(np.int32) for path in PATHS]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("held", ["f32", "f16", "bf16"])
def test_float_linear_packs_numbers_as_narrow_as_they_are(held: str, rows: bool) -> None:
    weights = np.random.default_rng(1).normal(size=(40, 90)).astype(np.float32)
    narrow = float_matrix(weights, held, rows=rows)
    wide = float_matrix(narrow.weights, "f32", rows=rows)
    linear = PackedFloat(wide)
    assert linear.format == held
    x = activations(90, 3)
    np.testing.assert_array_equal(linear.run("scalar", x), PackedFloat(narrow).run("scalar", x))


def test_float_linear_computes_with_numbers_below_the_normal_ones() -> None:
    weights = np.full((16, 8), 1e-40, np.float32)
    linear = PackedFloat(float_matrix(weights))
    assert linear.format == "f32"
    x = np.full((1, 8), 1e10, np.float32)
    for path in PATHS:
        np.testing.assert_allclose(linear.run(path, x), 8e-30, rtol=1e-5)


def test_float_linear_keeps_infinite_rows_apart() -> None:
    x = activations(64, 3)
    x[1, 5] = np.inf
    linear = PackedFloat(float_matrix(activations(64, 32, 4)))
    found = linear.run(PATHS[0], x)
    assert not np.isfinite(found[1]).any()
    np.testing.assert_array_equal(found[2], linear.run(PATHS[0], x[2:])[0])


RNG = np.random.default_rng(0)
FLOATS = float_matrix(activations(128, 32))
CODES = code_matrix(RNG, 128, 32, "integers", zeros=True)
NF4 = code_matrix(RNG, 128, 32, "nf4")
MALFORMED = {
    "weights do not fit": FLOATS.with_(values=FLOATS.values[:-1]),
    "bias does not fit": FLOATS.with_(bias=np.zeros(3, np.float32)),
    "N is odd": float_matrix(activations(128, 31), gated=True),
    "bits is neither": CODES.with_(bits=3),
    "block_size is no multiple": CODES.with_(group=40),
    "codes do not fit": CODES.with_(values=CODES.values[:-1]),
    "scales do not fit": CODES.with_(scales=CODES.scales[:, :3]),
    "scales are not finite": CODES.with_(scales=np.full_like(CODES.scales, np.inf)),
    "zero points do not fit": CODES.with_(zeros=CODES.zeros[:, :1]),
    "block_size does not divide": code_matrix(RNG, 100, 32, "nf4"),
    "zero points do": NF4.with_(zeros=CODES.zeros),
}


@pytest.mark.parametrize("message", MALFORMED)
def test_float_linear_refuses_tensors_that_do_not_fit(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PackedFloat(MALFORMED[message])


def test_every_format_is_packed() -> None:
    """The others' names are of these."""
    made = [FLOATS, float_matrix(activations(9, 9), "f16"), float_matrix(activations(9, 9), "bf16")]
    made += [NF4, code_matrix(RNG, 128, 32, "integers", bits=8)]
    assert tuple(PackedFloat(matrix).format for matrix in made) == FORMATS
