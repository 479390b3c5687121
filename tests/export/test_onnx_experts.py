"""Experts of an OpenVINO graph in an ONNX graph: no weight changes, however they were stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

ov = pytest.importorskip("openvino")
ort = pytest.importorskip("onnxruntime")
ir = pytest.importorskip("onnx_ir")

from nanoaccel.errors import ExportError  # noqa: E402
from nanoaccel.exporters.targets.onnx.experts import replace_experts  # noqa: E402
from nanoaccel.exporters.targets.onnx.stacks import read_stacks  # noqa: E402
from nanoaccel.exporters.targets.onnx.writer import Writer  # noqa: E402

pytestmark = pytest.mark.export

EXPERTS, HIDDEN, INNER, TOKENS = 4, 64, 32, 7
RNG = np.random.default_rng(0)


class Graph:
    """An OpenVINO graph of products with stacks, and the weights of those."""

    def __init__(self) -> None:
        self._results: list[Any] = []
        self._inputs: list[Any] = []
        self._kept: list[np.ndarray] = []  # constants share their memory

    def add(
        self,
        rows: int,
        columns: int,
        *,
        bits: int = 4,
        group: int = 16,
        zeros: bool = True,
        turned: bool = False,
    ) -> np.ndarray:
        """A stack of random codes; gives its weights f32 [experts, rows, columns]."""
        from openvino import opset13 as ops

        groups = columns // group
        shape, small = (EXPERTS, rows, groups, group), (EXPERTS, rows, groups, 1)
        if turned:
            shape, small = (EXPERTS, groups, group, rows), (EXPERTS, groups, 1, rows)
        codes = RNG.integers(0, 1 << bits, shape, np.uint8)
        points = RNG.integers(6, 10, small, np.uint8) if zeros else np.uint8(1 << bits - 1)
        scales = (RNG.uniform(0.5, 1.5, small) / (4 << bits)).astype(np.float16)
        kind = ov.Type.u4 if bits == 4 else ov.Type.u8
        flat = codes.ravel()
        octets = flat[::2] | flat[1::2] << 4 if bits == 4 else flat
        self._kept.append(octets)
        stored = ops.constant(ov.Tensor(octets, ov.Shape(list(shape)), kind))
        middle = np.broadcast_to(points, small if zeros else (1, 1, 1, 1)).astype(np.uint8)
        centred = ops.subtract(ops.convert(stored, "f16"), ops.convert(ops.constant(middle), "f16"))
        scaled = ops.multiply(centred, ops.constant(scales))
        whole = [EXPERTS, columns, rows] if turned else [EXPERTS, rows, columns]
        matrix = ops.convert(ops.reshape(scaled, whole, special_zero=False), "f32")
        x = ops.parameter([EXPERTS, -1, columns], ov.Type.f32)
        self._inputs.append(x)
        self._results.append(ops.result(ops.matmul(x, matrix, False, not turned)))
        weights = (codes.astype(np.float32) - points) * scales.astype(np.float32)
        flat_weights: np.ndarray = weights.reshape(whole)
        return flat_weights.transpose(0, 2, 1) if turned else flat_weights

    def model(self) -> Any:
        return ov.Model(self._results, self._inputs)


def builder_graph(gate_up: np.ndarray, down: np.ndarray) -> ir.Model:
    """What the builder makes of the floats: MoE over x and logits."""
    arrays = {
        "gate_up": gate_up,
        "gate_up.bias": RNG.normal(size=gate_up.shape[:2]),
        "down": down,
        "down.bias": np.zeros(down.shape[:2]),  # left out
    }
    stored = [
        ir.Value(
            name=name,
            shape=ir.Shape(array.shape),
            type=ir.TensorType(ir.DataType.FLOAT),
            const_value=ir.tensor(array.astype(np.float32), name=name),
        )
        for name, array in arrays.items()
    ]
    inputs = [
        ir.Value(name=name, shape=ir.Shape(["T", size]), type=ir.TensorType(ir.DataType.FLOAT))
        for name, size in (("x", HIDDEN), ("logits", EXPERTS))
    ]
    attributes = {
        "k": 2,
        "activation_type": "swiglu",
        "activation_alpha": 1.0,
        "activation_beta": 0.0,
        "swiglu_fusion": 1,
        "normalize_routing_weights": 1,
    }
    node = ir.node(
        "MoE", [*inputs, *stored], attributes, domain="com.microsoft", name="/layers.0/moe/MoE"
    )
    node.outputs[0].name = "y"
    node.outputs[0].type, node.outputs[0].shape = inputs[0].type, inputs[0].shape
    graph = ir.Graph(
        inputs,
        node.outputs,
        nodes=[node],
        initializers=stored,
        opset_imports={"": 21, "com.microsoft": 1},
        name="layer",
    )
    return ir.Model(graph, ir_version=10)


def run(model: ir.Model, folder: Path) -> np.ndarray:
    ir.save(model, folder / "model.onnx")
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    random = np.random.default_rng(1)
    feeds = {
        "x": random.normal(size=(TOKENS, HIDDEN)).astype(np.float32),
        "logits": random.normal(size=(TOKENS, EXPERTS)).astype(np.float32),
    }
    found: np.ndarray = session.run(None, feeds)[0]
    return found


def replaced(model: ir.Model, graph: Graph) -> ir.Node:
    """The QMoE that takes the place of MoE, computing without rounding its activations."""
    (node,) = model.graph
    new = replace_experts(Writer(model.graph), node, read_stacks(graph.model()))
    made = new.producer()
    assert made is not None
    new.name, new.type, new.shape = "result", node.outputs[0].type, node.outputs[0].shape
    model.graph.outputs[:] = [new]
    model.graph.remove(node, safe=True)
    for name in ("gate_up", "down"):
        del model.graph.initializers[name]
    made.attributes["accuracy_level"] = ir.AttrInt64("accuracy_level", 1)
    return made


KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "alike": ({}, {}),
    "without zero points": ({"zeros": False}, {"zeros": False}),
    "zero points in one": ({"zeros": False}, {}),
    "groups of two sizes": ({"group": 64}, {"group": 16}),
    "groups along rows": ({"turned": True}, {"turned": True, "zeros": False}),
}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_experts_keep_their_weights(kind: str, apart: bool, tmp_path: Path) -> None:
    graph, (first, second) = Graph(), KINDS[kind]
    if apart:
        gate, up = (graph.add(INNER, HIDDEN, **first) for _ in range(2))
        gate_up = np.stack([gate, up], axis=2).reshape(EXPERTS, 2 * INNER, HIDDEN)
    else:
        gate_up = graph.add(2 * INNER, HIDDEN, **first)
    model = builder_graph(gate_up, graph.add(HIDDEN, INNER, **second))
    wanted = run(model, tmp_path)
    node = replaced(model, graph)
    assert node.op_type == "QMoE"
    assert node.inputs[4] is not None
    assert node.inputs[7] is None
    np.testing.assert_allclose(run(model, tmp_path), wanted, rtol=1e-4, atol=1e-4)


def test_experts_of_two_widths_get_the_wider_one(tmp_path: Path) -> None:
    """Stock QMoE rounds activations with 8 bits, so the result is near."""
    graph = Graph()
    gate_up = graph.add(2 * INNER, HIDDEN, group=32)
    model = builder_graph(gate_up, graph.add(HIDDEN, INNER, bits=8, group=32))
    wanted = run(model, tmp_path)
    assert replaced(model, graph).attributes["expert_weight_bits"].as_int() == 8
    assert np.abs(run(model, tmp_path) - wanted).max() <= 0.03 * np.abs(wanted).max()


def test_experts_of_other_weights_are_refused() -> None:
    graph = Graph()
    gate_up, down = graph.add(2 * INNER, HIDDEN), graph.add(HIDDEN, INNER)
    model = builder_graph(gate_up, down[::-1])
    with pytest.raises(ExportError, match="were not found in the compressed"):
        replaced(model, graph)
