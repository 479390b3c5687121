"""The variant of a graph that caches keys and values as int8, in a file of its own.

ONNX Runtime's attention quantizes what it caches by scales that the graph brings, one for each
channel of each head: the largest value that a channel had over some text is 127.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.bundle import small_cache_graph
from nanoaccel.bundle.packed_graph import present_of
from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.runner import OnnxRunner

Ranges = Mapping[str, NDArray[np.float32]]

_LARGEST = 127
_KEY_SCALE, _VALUE_SCALE = 12, 13
_QUANTIZED = (
    ir.AttrString("k_quant_type", "PER_CHANNEL"),
    ir.AttrString("v_quant_type", "PER_CHANNEL"),
    ir.AttrInt64("kv_cache_bit_width", 8),
)


def measure_ranges(runner: OnnxRunner, windows: Sequence[NDArray[np.int64]]) -> Ranges:
    """The largest absolute keys and values, f32[heads, width] by the name of the cache input.

    Args:
        runner: Runs the graph in f32.
        windows: Texts, i64[T] each.
    """
    pasts = runner.caches
    presents = [present_of(name) for name in pasts]
    largest: dict[str, NDArray[np.float32]] = {}
    for window in windows:
        for name, cached in zip(pasts, runner.run([window], presents), strict=True):
            found = np.abs(cached[0]).max(axis=1)
            largest[name] = np.maximum(largest.get(name, found), found)
    return largest


def write_int8_kv_graph(graph: Path, ranges: Ranges) -> Path:
    """Write the file beside a graph that caches int8; it shares the graph's weights.

    Args:
        graph: File of the graph.
        ranges: Ranges of ``measure_ranges``.

    Raises:
        ExportError: It cannot be written.
    """
    model = ir.load(graph)
    for node in model.graph:
        if node.op_type == "GroupQueryAttention":
            _quantize(model.graph, node, ranges)
    caches = {*ranges, *(present_of(name) for name in ranges)}
    for value in (*model.graph.inputs, *model.graph.outputs):
        if value.name in caches:
            value.dtype = ir.DataType.INT8
    path = small_cache_graph(graph)
    try:
        ir.save(model, path)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error}", "Free space and export again") from error
    return path


def _quantize(graph: ir.Graph, node: ir.Node, ranges: Ranges) -> None:
    """Make an attention node cache int8."""
    for attribute in _QUANTIZED:
        node.attributes[attribute.name] = attribute
    if len(node.inputs) <= _VALUE_SCALE:
        node.resize_inputs(_VALUE_SCALE + 1)
    for index, past in ((_KEY_SCALE, node.inputs[3]), (_VALUE_SCALE, node.inputs[4])):
        assert past is not None
        assert past.name is not None
        largest = np.maximum(ranges[past.name], np.finfo(np.float32).tiny)
        scales = (largest / _LARGEST)[:, None].astype(np.float32)
        scale = ir.Value(name=f"{past.name}.scale", const_value=ir.tensor(scales))
        graph.register_initializer(scale)
        node.replace_input_with(index, scale)
