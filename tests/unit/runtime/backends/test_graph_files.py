"""Files of graphs that are garbage, cut off or altered: refused in words, and in no time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from nanoaccel.runtime.backends.onnxruntime.graph import wire  # noqa: E402
from nanoaccel.runtime.backends.onnxruntime.graph.model import read_model  # noqa: E402
from nanoaccel.runtime.backends.onnxruntime.operators import rewrite  # noqa: E402
from nanoaccel.runtime.backends.onnxruntime.operators.attention import CacheType  # noqa: E402

SPOILED = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ENDS = st.none() | st.integers(0, 1 << 30)
PLACES = st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(0, 255)), min_size=1, max_size=4)


@given(data=st.binary(max_size=200))
def test_garbage_is_no_graph(data: bytes) -> None:
    try:
        read_model(data)
    except wire.WireError:
        return


def node(kind: str, inputs: list[str], outputs: list[str], **attributes: object) -> object:
    return onnx.helper.make_node(kind, inputs, outputs, **attributes)


def model_of(nodes: list[object], stored: dict[str, np.ndarray] | None = None) -> bytes:
    kept = [onnx.numpy_helper.from_array(a, name) for name, a in (stored or {}).items()]
    graph = onnx.helper.make_graph(nodes, "g", [], [], kept)
    data: bytes = onnx.helper.make_model(graph).SerializeToString()
    return data


def product(**sizes: int) -> bytes:
    """A graph of one product of 8 by 32."""
    sizes = {"K": 32, "N": 8, "bits": 4, "block_size": 32, "accuracy_level": 4} | sizes
    stored = {"codes": np.zeros((8, 1, 16), np.uint8), "scales": np.ones((8, 1), np.float32)}
    return model_of([node("MatMulNBits", ["x", "codes", "scales"], ["y"], **sizes)], stored)


def alter(data: bytes, places: list[tuple[int, int]], end: int | None, folder: Path) -> None:
    """Edit a graph whose bytes were altered, or find that it cannot be."""
    altered = bytearray(data)
    for place, value in places:
        altered[place % len(altered)] = value
    file = folder / "model.onnx"
    file.write_bytes(altered if end is None else altered[: end % len(altered)])
    rewrite(file, CacheType.F16)


@SPOILED
@given(places=PLACES, end=ENDS)
def test_altered_products_are_replaced_or_left(
    tmp_path: Path, places: list[tuple[int, int]], end: int | None
) -> None:
    alter(product(), places, end, tmp_path)


@pytest.mark.export
@SPOILED
@given(places=PLACES, end=ENDS)
def test_altered_graphs_are_edited_or_left(
    tiny_onnx_bundle: Path, tmp_path: Path, places: list[tuple[int, int]], end: int | None
) -> None:
    alter((tiny_onnx_bundle / "onnx" / "model.onnx").read_bytes(), places, end, tmp_path)


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([node("Cast", ["a"], ["a"], to=1)], "reads what is made behind it"),
        ([node("Cast", ["b"], ["a"], to=1), node("Cast", ["a"], ["b"], to=1)], "behind it"),
        ([node("Cast", ["x"], ["a"], to=1), node("Cast", ["y"], ["a"], to=1)], "made twice"),
        ([node("Cast", ["x"], [], to=1)], "makes nothing"),
    ],
)
def test_graphs_that_cannot_run_are_refused(nodes: list[object], reason: str) -> None:
    with pytest.raises(wire.WireError, match=reason):
        read_model(model_of(nodes))


@pytest.mark.parametrize("shape", [[1] * 17, [2**63 - 1, -1]])
def test_shapes_that_no_tensor_has_are_refused(shape: list[int]) -> None:
    tensor = onnx.TensorProto(name="w", data_type=1, dims=shape)
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    with pytest.raises(wire.WireError, match="the shape of w"):
        read_model(onnx.helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize(
    "size", [{"K": 0}, {"N": 0}, {"N": -8}, {"K": -32}, {"block_size": 0}, {"bits": 3}]
)
def test_products_of_impossible_sizes_are_left(size: dict[str, int], tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(product())
    assert rewrite(file) is not None
    file.write_bytes(product(**size))
    assert rewrite(file) is None
