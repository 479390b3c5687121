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
from nanoaccel.exporters.targets.onnx.patterns.masks import Masks  # noqa: E402
from nanoaccel.exporters.targets.onnx.source.graph import read_graph  # noqa: E402

CONTEXT = 200


def window(mask: Callable[[Any, Any], Any]) -> int | None:
    """The window of a mask, which a function makes of places [T, 1] and of all places [1, S]."""
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
    return Masks(graph, CONTEXT).window(value)


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


def sloped(rows: Any, columns: Any) -> Any:
    far = ops.convert(ops.subtract(columns, rows), "f32")
    unseen = ops.constant(np.float32(-1e9))
    return ops.select(
        causal(rows, columns), ops.multiply(far, ops.constant(np.float32(0.1))), unseen
    )


def both_ways(rows: Any, columns: Any) -> Any:
    return ops.greater_equal(columns, ops.subtract(rows, rows))


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [(causal, None), (last(16), 16), (last(3), 3), (last(CONTEXT), None), (added, 16)],
)
def test_window_is_what_a_mask_lets_through(
    mask: Callable[[Any, Any], Any], wanted: int | None
) -> None:
    assert window(mask) == wanted


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (chunked, "attend to other tokens"),
        (both_ways, "attend to other tokens"),
        (sloped, "adds a bias to scores"),
    ],
)
def test_other_masks_are_refused(mask: Callable[[Any, Any], Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        window(mask)
