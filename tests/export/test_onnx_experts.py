"""Experts of an OpenVINO graph in an ONNX graph: no weight changes, however they were stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ov = pytest.importorskip("openvino")
ort = pytest.importorskip("onnxruntime")
ir = pytest.importorskip("onnx_ir")

from nanoaccel.exporters.targets.onnx.exact import make_exact  # noqa: E402
from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter  # noqa: E402
from nanoaccel.exporters.targets.onnx.patterns.expert_nodes import write_experts  # noqa: E402
from nanoaccel.exporters.targets.onnx.patterns.expert_parts import (  # noqa: E402
    Activation,
    ExpertsNode,
    Gate,
    Routing,
    Stack,
)
from nanoaccel.exporters.targets.onnx.stacks import read_stack  # noqa: E402
from nanoaccel.runtime.native import find_operators  # noqa: E402

pytestmark = pytest.mark.export

OPERATORS = find_operators()
EXPERTS, HIDDEN, INNER, TOKENS = 4, 64, 32, 7
SIZES = {"x": HIDDEN, "told": EXPERTS}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(TOKENS, HIDDEN)).astype(np.float32)
LOGITS = RNG.normal(size=(TOKENS, EXPERTS)).astype(np.float32)


@dataclass(frozen=True)
class Made:
    """A stack as the graph has it, and its weights f32 [experts, rows, columns]."""

    stack: Stack
    weights: np.ndarray


def make(
    rows: int,
    columns: int,
    *,
    bits: int = 4,
    group: int = 16,
    zeros: bool = True,
    turned: bool = False,
    bias: bool = False,
) -> Made:
    """A stack of random codes that a product of an OpenVINO graph reads."""
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
    tensor = ov.Tensor(kind, ov.Shape(list(shape)))
    tensor.data.view(np.uint8).ravel()[:] = octets
    middle = np.broadcast_to(points, small if zeros else (1, 1, 1, 1)).astype(np.uint8)
    stored = ops.convert(ops.constant(tensor), "f16")
    centred = ops.subtract(stored, ops.convert(ops.constant(middle), "f16"))
    whole = [EXPERTS, columns, rows] if turned else [EXPERTS, rows, columns]
    scaled = ops.multiply(centred, ops.constant(scales))
    matrix = ops.convert(ops.reshape(scaled, whole, special_zero=False), "f32")
    x = ops.parameter([EXPERTS, -1, columns], ov.Type.f32)
    weights, own_rows = read_stack(ops.matmul(x, matrix, False, not turned))
    biases = RNG.normal(size=(EXPERTS, rows)).astype(np.float32) if bias else None
    numbers = (codes.astype(np.float32) - points) * scales.astype(np.float32)
    dense = numbers.reshape(whole)
    return Made(Stack(weights, own_rows, biases), dense.transpose(0, 2, 1) if turned else dense)


def write(gate_up: Made | tuple[Made, Made], down: Made, gate: Gate, routing: Routing) -> Any:
    """A graph of one mixture, which does not round its activations."""
    first = gate_up if isinstance(gate_up, tuple) else (gate_up,)
    out = PackedWriter(context=64)
    inputs = [ir.val(name, ir.DataType.FLOAT, ["T", size]) for name, size in SIZES.items()]
    node = ExpertsNode(
        "__module.layers.0.mlp/sum", tuple(one.stack for one in first), down.stack, gate, routing
    )
    (made,) = write_experts(node, out, inputs)
    made.name, made.type, made.shape = "y", inputs[0].type, inputs[0].shape
    graph = out.finish([made]).graph
    graph.inputs[:] = inputs
    for one in graph:
        if one.op_type == "QMoE":
            one.attributes["accuracy_level"] = ir.AttrInt64("accuracy_level", 1)
    return ir.Model(graph, ir_version=10)


def run(model: Any, folder: Path, told: np.ndarray) -> np.ndarray:
    ir.save(model, folder / "model.onnx")
    options = ort.SessionOptions()
    if OPERATORS.library is not None:
        options.register_custom_ops_library(str(OPERATORS.library))
    session = ort.InferenceSession(
        folder / "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    found: np.ndarray = session.run(None, {"x": X, "told": told})[0]
    return found


def computed(gate_up: Made, down: Made, gate: Gate, shares: np.ndarray) -> np.ndarray:
    """The same in numpy."""
    total = np.zeros((TOKENS, HIDDEN), np.float32)
    for expert in range(EXPERTS):
        first = X @ gate_up.weights[expert].T
        if gate_up.stack.bias is not None:
            first = first + gate_up.stack.bias[expert]
        second = gate.compute(first) @ down.weights[expert].T
        if down.stack.bias is not None:
            second = second + down.stack.bias[expert]
        total += shares[:, expert, None] * second
    return total


def chosen(logits: np.ndarray) -> np.ndarray:
    """A softmax of the two largest."""
    least = np.sort(logits, -1)[:, -2:-1]
    power = np.exp(logits) * (logits >= least)
    shares: np.ndarray = power / power.sum(-1, keepdims=True)
    return shares


KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "alike": ({}, {}),
    "without zero points": ({"zeros": False}, {"zeros": False}),
    "zero points in one": ({"zeros": False, "bias": True}, {}),
    "groups of two sizes": ({"group": 64}, {"group": 16}),
    "groups along rows": ({"turned": True}, {"turned": True, "zeros": False}),
}


@pytest.mark.parametrize("in_turns", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_experts_keep_their_weights(kind: str, in_turns: bool, tmp_path: Path) -> None:
    first, second = KINDS[kind]
    gate_up, down = make(2 * INNER, HIDDEN, **first), make(HIDDEN, INNER, **second)
    gate = Gate(in_turns, 1.0, 0.0, np.inf)
    found = run(write(gate_up, down, gate, Routing(2, logits=True)), tmp_path, LOGITS)
    wanted = computed(gate_up, down, gate, chosen(LOGITS))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


APART: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "alike": ({}, {}),
    "biases and zero points": ({"bias": True}, {"zeros": False}),
    "groups of two sizes": ({"group": 64}, {"group": 16}),
}


@pytest.mark.parametrize("kind", APART)
def test_gates_and_up_projections_of_their_own_become_one_linear(kind: str, tmp_path: Path) -> None:
    one, other = APART[kind]
    gates, ups, down = make(INNER, HIDDEN, **one), make(INNER, HIDDEN, **other), make(HIDDEN, INNER)
    gate = Gate(False, 1.0, 0.0, np.inf)
    found = run(write((gates, ups), down, gate, Routing(2, logits=True)), tmp_path, LOGITS)
    wanted = np.zeros((TOKENS, HIDDEN), np.float32)
    for expert in range(EXPERTS):
        parts = []
        for made in (gates, ups):
            part = X @ made.weights[expert].T
            parts.append(part if made.stack.bias is None else part + made.stack.bias[expert])
        inner = gate.compute(np.concatenate(parts, axis=-1))
        wanted += chosen(LOGITS)[:, expert, None] * (inner @ down.weights[expert].T)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_experts_count_as_shares_say_that_do_not_sum_to_one(tmp_path: Path) -> None:
    gate_up, down = make(2 * INNER, HIDDEN), make(HIDDEN, INNER)
    gate = Gate(False, 1.702, 1.0, 0.7)
    shares = 2.5 * chosen(LOGITS) * RNG.uniform(0.1, 1, LOGITS.shape).astype(np.float32)
    found = run(write(gate_up, down, gate, Routing(2, logits=False)), tmp_path, shares)
    wanted = computed(gate_up, down, gate, shares)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("zeros", [False, True])
def test_an_exact_graph_of_experts_in_8_bits_rounds_nothing(zeros: bool, tmp_path: Path) -> None:
    gate_up, down = (
        make(*sizes, bits=8, group=32, zeros=zeros, bias=True)
        for sizes in ((2 * INNER, HIDDEN), (HIDDEN, INNER))
    )
    gate = Gate(False, 1.702, 1.0, 0.7)
    model = write(gate_up, down, gate, Routing(2, logits=True))
    assert make_exact(model.graph)
    wanted = computed(gate_up, down, gate, chosen(LOGITS))
    np.testing.assert_allclose(run(model, tmp_path, LOGITS), wanted, rtol=1e-4, atol=1e-4)


def test_experts_of_two_widths_get_the_wider_one(tmp_path: Path) -> None:
    """Stock QMoE rounds activations with 8 bits, so the result is near."""
    gate_up, down = make(2 * INNER, HIDDEN, group=32), make(HIDDEN, INNER, bits=8, group=32)
    gate = Gate(True, 1.0, 0.0, np.inf)
    model = write(gate_up, down, gate, Routing(2, logits=True))
    (node,) = (one for one in model.graph if one.op_type == "QMoE")
    assert node.attributes["expert_weight_bits"].as_int() == 8
    wanted = computed(gate_up, down, gate, chosen(LOGITS))
    assert np.abs(run(model, tmp_path, LOGITS) - wanted).max() <= 0.03 * np.abs(wanted).max()


@pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason)
@pytest.mark.parametrize("activation", [Activation.GELU, Activation.TANH_GELU])
def test_experts_gated_by_gelu_are_nodes_of_our_own(activation: Activation, tmp_path: Path) -> None:
    """They take shares as they are, and round no activations in the exact graph."""
    gate_up, down = make(2 * INNER, HIDDEN, bias=True), make(HIDDEN, INNER, zeros=False)
    gate = Gate(False, 1.0, 0.0, np.inf, activation)
    shares = chosen(LOGITS) * np.float32(-3.0)
    model = write(gate_up, down, gate, Routing(2, logits=False))
    rounded = run(model, tmp_path, shares)
    assert make_exact(model.graph)
    assert [node.op_type for node in model.graph] == ["FloatExperts"]
    wanted = computed(gate_up, down, gate, shares)
    np.testing.assert_allclose(run(model, tmp_path, shares), wanted, rtol=1e-4, atol=1e-4)
    assert 1e-4 < np.abs(rounded - wanted).max() < 0.03 * np.abs(wanted).max()


@pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason)
@pytest.mark.parametrize("activation", [Activation.SILU, Activation.RELU, Activation.SQUARED_RELU])
def test_experts_without_gates_store_no_up_projections(
    activation: Activation, tmp_path: Path
) -> None:
    up, down = make(INNER, HIDDEN, bias=True), make(HIDDEN, INNER, zeros=False)
    gate = Gate(False, 1.0, 0.0, np.inf, activation, gated=False)
    model = write(up, down, gate, Routing(2, logits=False))
    rounded = run(model, tmp_path, chosen(LOGITS))
    codes = model.graph.initializers["layers.0/mlp/sum.gate_up.codes"]
    assert list(codes.shape) == [EXPERTS, INNER, HIDDEN // 2]
    assert make_exact(model.graph)
    wanted = computed(up, down, gate, chosen(LOGITS))
    found = run(model, tmp_path, chosen(LOGITS))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert 1e-4 < np.abs(rounded - wanted).max() < 0.03 * np.abs(wanted).max()
