"""Windows are read from masks, and masks of another kind are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

ov = pytest.importorskip("openvino")
pytest.importorskip("onnx_ir")

from openvino import opset13 as ops  # noqa: E402
from support.traced_sketches import decoder  # noqa: E402

from nanoaccel.errors import UnsupportedModelError  # noqa: E402
from nanoaccel.exporters.targets.onnx.patterns.masks import Mask, Masks  # noqa: E402
from nanoaccel.exporters.targets.onnx.source.graph import read_graph  # noqa: E402

CONTEXT = 200


def read(mask: Callable[[Any, Any], Any]) -> Mask:
    """What is found of a mask, which a function makes of places [T, 1] and of all places [1, S]."""
    made = []

    def middle(x: Any, inputs: Any) -> Any:
        zero, one = ops.constant(np.int64(0)), ops.constant(np.int64(1))
        new, every = (
            ops.gather(ops.shape_of(value, "i64"), one, zero) for value in (inputs.ids, inputs.mask)
        )
        columns = ops.unsqueeze(ops.range(zero, every, one, "i64"), zero)
        rows = ops.unsqueeze(ops.range(ops.subtract(every, new), every, one, "i64"), one)
        found = mask(rows, columns)
        found.set_friendly_name("mask")
        made.append(ops.result(found))
        return x

    model = decoder(middle)
    model.add_results(made)
    graph = read_graph(model)
    value = next(node.out for node in graph.nodes if node.name == "mask")
    return Masks(graph, CONTEXT).read(value)


def causal(rows: Any, columns: Any) -> Any:
    return ops.less_equal(columns, rows)


def last(count: int) -> Callable[[Any, Any], Any]:
    def mask(rows: Any, columns: Any) -> Any:
        near = ops.greater(columns, ops.subtract(rows, ops.constant(np.int64(count))))
        return ops.logical_and(causal(rows, columns), near)

    return mask


def added(rows: Any, columns: Any) -> Any:
    """What is added to scores."""
    unseen = ops.constant(np.float32(np.finfo(np.float32).min))
    return ops.select(last(16)(rows, columns), ops.constant(np.float32(0)), unseen)


def chunked(rows: Any, columns: Any) -> Any:
    size = ops.constant(np.int64(64))
    alike = ops.equal(ops.divide(rows, size), ops.divide(columns, size))
    return ops.logical_and(causal(rows, columns), alike)


def biased(rows: Any, columns: Any, far: Any) -> Any:
    """Biases of two heads, which differ by their slopes."""
    unseen = ops.constant(np.float32(-1e9))
    slopes = ops.constant(np.array([0.1, 0.7], np.float32).reshape(1, 2, 1, 1))
    return ops.select(causal(rows, columns), ops.multiply(ops.convert(far, "f32"), slopes), unseen)


def from_query(rows: Any, columns: Any) -> Any:
    return biased(rows, columns, ops.subtract(columns, rows))


def from_start(rows: Any, columns: Any) -> Any:
    return biased(rows, columns, columns)


def curved(rows: Any, columns: Any) -> Any:
    far = ops.subtract(columns, rows)
    return biased(rows, columns, ops.multiply(far, far))


def steeper(rows: Any, columns: Any) -> Any:
    one, two = (ops.constant(np.int64(number)) for number in (1, 2))
    times = ops.add(one, ops.floor_mod(rows, two))  # for each second token
    return biased(rows, columns, ops.multiply(ops.subtract(columns, rows), times))


def both_ways(rows: Any, columns: Any) -> Any:
    return ops.greater_equal(columns, ops.subtract(rows, rows))


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [(causal, None), (last(16), 16), (last(3), 3), (last(CONTEXT), None), (added, 16)],
)
def test_window_is_what_a_mask_lets_through(
    mask: Callable[[Any, Any], Any], wanted: int | None
) -> None:
    found = read(mask)
    assert found.window == wanted
    assert found.slopes is None


@pytest.mark.parametrize("mask", [from_query, from_start])
def test_slopes_are_those_of_biases_that_rise_evenly(mask: Callable[[Any, Any], Any]) -> None:
    found = read(mask)
    assert found.window is None
    assert found.slopes is not None
    np.testing.assert_allclose(found.slopes, [0.1, 0.7], rtol=1e-5)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (chunked, "attend to other tokens"),
        (both_ways, "attend to other tokens"),
        (curved, "a bias to scores that is not ALiBi"),
        (steeper, "a bias to scores that differs by token"),
    ],
)
def test_other_masks_are_refused(mask: Callable[[Any, Any], Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        read(mask)
