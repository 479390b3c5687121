"""How large the inputs of layers are over a text, measured block by block."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.quantize.compression.layers import Layer
from nanoaccel.exporters.targets.openvino.runner import fast_options, graph_inputs
from nanoaccel.folders import kept_if_possible, whole_file

if TYPE_CHECKING:
    import openvino as ov

    from nanoaccel.exporters.targets.openvino.segments import Arrays

Squares: TypeAlias = Mapping[str, NDArray[np.float32]]

# Means of squares are the same to a few percent after so many; four times as many choose no better
# scales.
_TOKENS = 4096


def mean_squares(
    model: ov.Model,
    layers: Sequence[Layer],
    windows: Sequence[NDArray[np.int64]],
    file: Path,
    tell: Callable[[float], object],
) -> Squares:
    """Mean squares of what each product reads, by the name of its layer.

    Args:
        model: With its original weights; a copy of it is run.
        layers: Layers of the model.
        windows: Token windows, i64[T] each; some from all over are taken.
        file: Where they are found, or kept when they are not there yet.
        tell: Called with the share of the run that is done.

    Returns:
        f32[1, inputs]; of experts that read different things f32[matrices, inputs].
    """
    known = _load(file, layers)
    if known is not None:
        return known
    found = _measure(model.clone(), layers, _some(windows), tell)
    with kept_if_possible(), whole_file(file) as work, open(work, "wb") as stream:
        np.savez(stream, **found)  # type: ignore[arg-type]
    return found


def _load(file: Path, layers: Sequence[Layer]) -> Squares | None:
    try:
        with np.load(io.BytesIO(file.read_bytes())) as stored:
            found = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, BadZipFile):  # not there, or damaged
        return None
    names = {layer.name for layer in layers if layer.kind != "embedding"}
    return found if names <= found.keys() else None


def _some(windows: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Windows from all over the text, with about the tokens that are needed."""
    count = max(1, -(-_TOKENS // max(map(len, windows))))
    return list(windows[:: max(1, len(windows) // count)])[:count]


def _measure(
    model: ov.Model,
    layers: Sequence[Layer],
    windows: Sequence[NDArray[np.int64]],
    tell: Callable[[float], object],
) -> dict[str, NDArray[np.float32]]:
    from nanoaccel.exporters.targets.openvino.segments import SegmentedGraph

    readers = _watch_inputs(model, layers)
    sums: dict[str, Any] = {}

    def collect(_: int, outputs: Arrays) -> None:
        for name in readers.keys() & outputs.keys():
            sums[name] = sums.get(name, 0) + _squares(outputs[name], readers[name][0].matrices)

    samples = [graph_inputs(model, tokens) for tokens in windows]
    SegmentedGraph(model, fast_options()).run(samples, collect, tell)
    return {
        layer.name: (sums[name] / len(windows)).astype(np.float32)
        for name, some in readers.items()
        for layer in some
    }


def _watch_inputs(model: ov.Model, layers: Sequence[Layer]) -> dict[str, list[Layer]]:
    """Let a graph give what layers read instead of logits; the layers by the outputs' names."""
    from openvino import opset13 as ops

    operations = {node.get_friendly_name(): node for node in model.get_ops()}
    sources: dict[str, ov.Output] = {}
    readers: dict[str, list[Layer]] = {}
    for layer in layers:
        for node in map(operations.__getitem__, layer.operations):
            if node.get_type_name() != "MatMul":
                continue
            source = node.input_value(0)
            name = f"read {source.get_node().get_name()}:{source.get_index()}"
            sources[name] = source
            readers.setdefault(name, []).append(layer)
            break
    for result in list(model.get_results()):
        model.remove_result(result)
    for name, source in sources.items():
        source.add_names({name})
    model.add_results([ops.result(source) for source in sources.values()])
    return readers


def _squares(array: NDArray[Any], matrices: int) -> NDArray[np.float64]:
    """Mean squares over tokens [1, inputs], or of each expert [matrices, inputs]."""
    apart = array.ndim == 3 and matrices > 1 and len(array) == matrices
    tokens = array if apart else array.reshape(1, -1, array.shape[-1])
    found: NDArray[np.float64] = np.einsum("mti,mti->mi", tokens, tokens) / tokens.shape[1]
    return found
