"""Weights that are cut off, foreign or elsewhere are refused when a session opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from nanoaccel.errors import BundleError  # noqa: E402
from nanoaccel.runtime.backends.onnxruntime.operators import rewrite  # noqa: E402
from nanoaccel.runtime.backends.onnxruntime.session import open_session  # noqa: E402
from nanoaccel.runtime.cpu.threads import plan_here  # noqa: E402
from nanoaccel.runtime.cpu.workload import Workload  # noqa: E402
from nanoaccel.runtime.native import find_operators  # noqa: E402

OPERATORS = find_operators()
pytestmark = pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason)
K, N, GROUP = 128, 64, 32


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """One product, whose weights are in a file of their own."""
    stored = {
        "codes": np.full((N, K // GROUP, GROUP // 2), 0x35, np.uint8),
        "scales": np.full((N, K // GROUP), 0.5, np.float32),
    }
    sizes = {"K": K, "N": N, "bits": 4, "block_size": GROUP, "accuracy_level": 4}
    helper = onnx.helper
    product = helper.make_node(
        "MatMulNBits", ["x", *stored], ["y"], "product", domain="com.microsoft", **sizes
    )
    ends = [helper.make_tensor_value_info(name, 1, [None, n]) for name, n in (("x", K), ("y", N))]
    kept = [onnx.numpy_helper.from_array(array, name) for name, array in stored.items()]
    made = helper.make_graph([product], "g", ends[:1], ends[1:], kept)
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "model.onnx"
    onnx.save(
        helper.make_model(made, opset_imports=sets, ir_version=10),
        path,
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    return path


def open_own(graph: Path) -> object:
    plan = plan_here(Workload(role="decode", threads=1))
    rewritten = rewrite(graph)
    assert rewritten is not None
    assert rewritten.linears == 1
    return open_session(graph, plan, OPERATORS, rewritten)


def place(graph: Path, tensor: str, **entries: object) -> None:
    """Change where a tensor's bytes are said to be."""
    model = onnx.load(graph, load_external_data=False)
    (found,) = [one for one in model.graph.initializer if one.name == tensor]
    known = {entry.key: entry for entry in found.external_data}
    for key, value in entries.items():
        known[key].value = str(value)
    onnx.save(model, graph)


def test_weights_that_are_whole_are_taken(graph: Path) -> None:
    x = np.ones((3, K), np.float32)
    (y,) = open_own(graph).run(None, {"x": x})  # type: ignore[attr-defined]
    # codes 5 and 3 stand for -3 and -5
    np.testing.assert_allclose(y, np.full((3, N), -4 * K * 0.5), rtol=1e-5)


@pytest.mark.parametrize("left", [0, 1, 100, 4096])
def test_weights_that_are_cut_off_are_refused(graph: Path, left: int) -> None:
    data = graph.with_name("model.onnx.data")
    data.write_bytes(data.read_bytes()[:left])
    with pytest.raises(BundleError, match=r"model\.onnx"):
        open_own(graph)


@pytest.mark.parametrize("tensor", ["codes", "scales"])
@pytest.mark.parametrize(
    "entries",
    [
        {"offset": 1 << 40},
        {"offset": -64},
        {"offset": (1 << 63) - 1},
        {"offset": "here"},
        {"length": 16},
        {"length": 1 << 40},
        {"length": -1},
        {"location": "other.data"},
        {"location": "../model.onnx.data"},
        {"location": "/etc/passwd"},
    ],
)
def test_weights_that_are_elsewhere_are_refused(
    graph: Path, tensor: str, entries: dict[str, object]
) -> None:
    place(graph, tensor, **entries)
    with pytest.raises(BundleError, match=r"model\.onnx|codes|scales"):
        open_own(graph)


@pytest.mark.parametrize("shape", [[N, K // GROUP, GROUP], [1], [N * K], [0]])
def test_weights_of_another_shape_are_refused(graph: Path, shape: list[int]) -> None:
    model = onnx.load(graph, load_external_data=False)
    codes = model.graph.initializer[0]
    del codes.dims[:]
    codes.dims.extend(shape)
    onnx.save(model, graph)
    with pytest.raises(BundleError):
        open_own(graph)


def test_weights_that_are_not_finite_are_refused_by_name(graph: Path) -> None:
    data = graph.with_name("model.onnx.data")
    data.write_bytes(data.read_bytes().replace(b"\0\0\0\x3f", b"\xff\xff\xff\x7f", 1))
    with pytest.raises(BundleError, match="codes: scales are not finite"):
        open_own(graph)
