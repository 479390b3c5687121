"""Operators compute in a packed graph what they do in OpenVINO; what mixes tokens is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ov = pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnx_ir")

from openvino import opset13 as ops  # noqa: E402
from support.traced_sketches import WIDTH, Inputs, both_logits, decoder  # noqa: E402

from nanoaccel.errors import UnsupportedModelError  # noqa: E402
from nanoaccel.exporters.targets.onnx.translate import translate  # noqa: E402

Middle = Callable[[Any, Inputs], Any]
ROW = np.linspace(-1, 1, WIDTH).astype(np.float32)
HALF = WIDTH // 2


def c(*numbers: int) -> Any:
    return ops.constant(np.array(numbers, np.int64))


def one(number: int) -> Any:
    return ops.constant(np.int64(number))


def f(number: float) -> Any:
    return ops.constant(np.float32(number))


def row(middle: Callable[[Any], Any]) -> Middle:
    return lambda x, _: middle(x)


def parts_turned(x: Any) -> Any:
    first, second = ops.variadic_split(x, one(-1), c(8, WIDTH - 8)).outputs()
    return ops.concat([second, first], -1)


def largest(x: Any) -> Any:
    """The four largest numbers where they were, and zeros."""
    top = ops.topk(x, one(4), -1, "max", "value", "i32")
    zeros = ops.broadcast(f(0), ops.shape_of(x, "i64"))
    return ops.scatter_elements_update(zeros, top.output(1), top.output(0), one(2))


def slice_assigned(x: Any) -> Any:
    """``x[..., 8:] += 1``, as it is traced."""
    shape = ops.shape_of(x, "i64")
    count = ops.reduce_prod(shape, one(0))
    places = ops.reshape(ops.range(one(0), count, one(1), "i64"), shape, False)
    bounds = (c(8), c(1 << 60), c(1), c(2))
    chosen = ops.reshape(ops.slice(places, *bounds), c(-1, 1), False)
    given = ops.reshape(ops.add(ops.slice(x, *bounds), f(1)), c(-1), False)
    flat = ops.scatter_nd_update(ops.reshape(x, c(-1), False), chosen, given)
    return ops.reshape(flat, shape, False)


def small_product(x: Any) -> Any:
    """A product of two computed matrices for each token."""
    left = ops.reshape(x, c(0, 0, 8, 4), True)
    right = ops.reshape(ops.slice(x, c(0), c(16), c(1), c(2)), c(0, 0, 4, 4), True)
    return ops.reshape(ops.matmul(left, right, False, False), c(0, 0, WIDTH), True)


def norm(x: Any) -> Any:
    mean = ops.reduce_mean(ops.power(x, f(2)), c(-1), True)
    root = ops.sqrt(ops.add(mean, f(1e-3)))
    return ops.multiply(ops.constant(ROW), ops.multiply(x, ops.divide(f(1), root)))


def centered(x: Any) -> Any:
    return norm(ops.subtract(x, ops.reduce_mean(x, c(-1), True)))


def layer_norm(x: Any) -> Any:
    apart = ops.mvn(x, c(-1), True, 1e-3, "inside_sqrt")
    return ops.add(ops.multiply(apart, ops.constant(ROW)), ops.constant(ROW[::-1].copy()))


def gated(x: Any) -> Any:
    up, gate = ops.variadic_split(x, one(-1), c(HALF, HALF)).outputs()
    both = ops.multiply(ops.swish(gate), up)
    return ops.concat([both, both], -1)


MIDDLES: dict[str, Middle] = {
    "arithmetic": row(lambda x: ops.multiply(ops.subtract(x, ops.constant(ROW)), ops.tanh(x))),
    "activations": row(lambda x: ops.add(ops.gelu(x, "tanh"), ops.gelu(x, "erf"))),
    "swish with a factor": row(lambda x: ops.swish(x, f(1.702))),
    "clamp": row(lambda x: ops.clamp(x, -0.5, 0.7)),
    "select": row(lambda x: ops.select(ops.greater(x, f(0)), x, ops.exp(x))),
    "negated": row(lambda x: ops.power(ops.abs(ops.negative(x)), f(0.5))),
    "split": row(parts_turned),
    "heads": row(
        lambda x: ops.reshape(
            ops.transpose(ops.reshape(x, c(0, 0, 4, 8), True), c(0, 1, 3, 2)), c(0, 0, -1), True
        )
    ),
    "every second": row(
        lambda x: ops.concat([ops.slice(x, c(n), c(1 << 60), c(2), c(2)) for n in (1, 0)], -1)
    ),
    "ordered": row(lambda x: ops.gather(x, c(*range(WIDTH - 1, -1, -1)), one(2))),
    "tile": row(lambda x: ops.slice(ops.tile(x, c(1, 1, 2)), c(8), c(8 + WIDTH), c(1), c(2))),
    "means": row(lambda x: ops.subtract(x, ops.reduce_mean(x, c(-1), True))),
    "sum of few": row(
        lambda x: ops.concat(
            [ops.reduce_sum(ops.reshape(x, c(0, 0, 4, 8), True), c(2), False)] * 4, -1
        )
    ),
    "largest": row(largest),
    "shares": row(lambda x: ops.softmax(x, -1)),
    "assigned": row(slice_assigned),
    "small product": row(small_product),
    "norm": row(norm),
    "norm around a mean": row(centered),
    "layer norm": row(layer_norm),
    "norm of a sum": row(lambda x: ops.add(norm(ops.add(x, norm(x))), x)),
    "gate behind": row(gated),
    "positions": lambda x, inputs: ops.multiply(
        x, ops.cos(ops.convert(ops.unsqueeze(inputs.positions, one(2)), "f32"))
    ),
}


@pytest.mark.parametrize("name", MIDDLES)
def test_operators_compute_the_same(name: str, tmp_path: Path) -> None:
    found, wanted = both_logits(decoder(MIDDLES[name]), tmp_path)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def causal_sum(x: Any, _: Inputs) -> Any:
    return ops.cum_sum(x, one(1))


def scores(x: Any, _: Inputs) -> Any:
    return ops.matmul(ops.softmax(ops.matmul(x, x, False, True), -1), x, False, False)


REFUSED: dict[str, tuple[Middle, str]] = {
    "a sum over tokens": (causal_sum, "mixes tokens"),
    "the token before": (
        row(lambda x: ops.concat([x, ops.slice(x, c(0), c(-1), c(1), c(1))], 1)),
        "mixes tokens",
    ),
    "a shape without tokens": (
        row(lambda x: ops.reshape(ops.transpose(x, c(0, 2, 1)), ops.shape_of(x, "i64"), False)),
        "mixes tokens",
    ),
    "attention without a cache": (scores, "relates tokens to each other"),
    "the mask": (
        lambda x, inputs: ops.multiply(
            x, ops.convert(ops.reduce_sum(inputs.mask, c(0, 1), False), "f32")
        ),
        "reads attention_mask",
    ),
    "an operator that ONNX has not": (
        row(lambda x: ops.multiply(x, ops.hsigmoid(x))),
        "no operator for HSigmoid",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_graphs_that_cannot_be_packed_are_refused_by_name(name: str) -> None:
    middle, message = REFUSED[name]
    with pytest.raises(UnsupportedModelError, match=message):
        translate(decoder(middle), 64)
