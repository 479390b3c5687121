from __future__ import annotations

from pathlib import Path

import pytest

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.runtime.backends.onnxruntime.graph import wire
from nanoaccel.runtime.backends.onnxruntime.graph.values import FLOAT, value_info
from nanoaccel.runtime.tools.cache_needs import CacheNeeds, cache_needs

_GRAPH, _INPUT = 7, 11  # fields of onnx.proto


def graph_of(folder: Path, inputs: dict[str, tuple[int | str, ...]]) -> Path:
    """A file of a graph with these inputs alone."""
    infos = [value_info(name, FLOAT, shape) for name, shape in inputs.items()]
    body = b"".join(wire.bytes_field(_INPUT, info) for info in infos)
    path = folder / "model.onnx"
    path.write_bytes(wire.bytes_field(_GRAPH, body))
    return path


KEYS = {
    contract.past_name(layer, kind): contract.cache_shape(2, 16 << layer)
    for layer in (0, 1)
    for kind in contract.CACHE_KINDS
}
STATES: dict[str, tuple[int | str, ...]] = {contract.RECURRENT_STATES: ("slots", 1000)}


def test_cache_needs_of_an_onnx_graph_are_those_of_its_inputs(tmp_path: Path) -> None:
    assert cache_needs(graph_of(tmp_path, KEYS)) == CacheNeeds(2 * 2 * (16 + 32), 0)
    assert cache_needs(graph_of(tmp_path, KEYS | STATES)) == CacheNeeds(192, 4000)
    assert cache_needs(graph_of(tmp_path, STATES)) == CacheNeeds(0, 4000)


@pytest.mark.parametrize("data", [b"", b"no graph at all"])
def test_cache_needs_of_what_does_not_say_them_are_none(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    assert cache_needs(path) is None
    assert cache_needs(tmp_path / "missing.xml") is None
