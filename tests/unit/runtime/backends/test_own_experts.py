"""Graphs with NanoAccel's mixture of experts give what stock ones give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.native_experts import Experts, expert_reference, random_experts

ml_dtypes = pytest.importorskip("ml_dtypes")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from nanoaccel.errors import BundleDamagedError  # noqa: E402
from nanoaccel.runtime.backends.onnxruntime.operators import rewrite  # noqa: E402
from nanoaccel.runtime.backends.onnxruntime.session import open_session  # noqa: E402
from nanoaccel.runtime.cpu.threads import plan_here  # noqa: E402
from nanoaccel.runtime.cpu.workload import Workload  # noqa: E402
from nanoaccel.runtime.native import Operators, find_operators  # noqa: E402

OPERATORS = find_operators()
pytestmark = pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason)
STOCK = Operators(None)
EXPERTS, HIDDEN, INNER = 6, 64, 96


def tensors(layer: Experts) -> dict[str, np.ndarray]:
    """By the place of the input; gate_up's begin at 2, down's at 5."""
    found = {}
    for first, zeros, factors, matrices in ((2, 11, 15, layer.gate_up), (5, 12, 16, layer.down)):
        names = {"codes": first, "scales": first + 1, "bias": first + 2, "zeros": zeros}
        if matrices[0].exponents is not None:
            names["exponents"] = first + 1
            each = [matrix.factor for matrix in matrices]
            found[f"input_{factors}"] = np.array(each, np.float32)
        for name, place in names.items():
            if getattr(matrices[0], name) is not None:
                whole = np.stack([getattr(matrix, name) for matrix in matrices])
                if name == "codes":
                    whole = whole.reshape(*whole.shape[:2], -1)
                found[f"input_{place}"] = whole
    return found


def tensor(name: str, array: np.ndarray) -> Any:
    """An initializer; bytes of scales are exponents."""
    if array.dtype == np.uint8 and name in ("input_3", "input_6"):
        kind = onnx.TensorProto.FLOAT8E8M0
        return onnx.helper.make_tensor(name, kind, array.shape, array.tobytes(), raw=True)
    return onnx.numpy_helper.from_array(array, name)


def save(folder: Path, layer: Experts, changed: dict[str, Any] | None = None) -> Path:
    """A graph of one QMoE over x and logits."""
    stored = tensors(layer)
    mx = layer.down[0].exponents is not None
    attributes = {
        "k": layer.top_k,
        "activation_type": "swiglu",
        "activation_alpha": layer.alpha,
        "activation_beta": layer.beta,
        "swiglu_fusion": 1,
        "normalize_routing_weights": 1,
        "expert_weight_bits": layer.down[0].bits,
        "block_size": layer.down[0].group,
        "accuracy_level": 4,
        "quant_type": "fp4" if mx else "int",
    }
    if np.isfinite(layer.limit):
        attributes["swiglu_limit"] = layer.limit
    attributes.update(changed or {})
    kept = {name: value for name, value in attributes.items() if value is not None}
    places = [name if name in stored else "" for name in (f"input_{i}" for i in range(17))]
    places[:2] = ["x", "logits"]
    node = onnx.helper.make_node("QMoE", places, ["y"], "experts", domain="com.microsoft", **kept)
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node],
        "sketch",
        [info("x", 1, [1, "T", HIDDEN]), info("logits", 1, ["T", EXPERTS])],
        [info("y", 1, [1, "T", HIDDEN])],
        [tensor(name, array) for name, array in stored.items()],
    )
    sets = [onnx.helper.make_opsetid(*one) for one in (("", 22), ("com.microsoft", 1))]
    model = onnx.helper.make_model(graph, opset_imports=sets, ir_version=12)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def both(graph: Path, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """The outputs of own and of stock operators."""
    return run(graph, OPERATORS, tokens), run(graph, STOCK, tokens)


def inputs(tokens: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "x": rng.normal(size=(1, tokens, HIDDEN)).astype(np.float32),
        "logits": rng.normal(size=(tokens, EXPERTS)).astype(np.float32),
    }


def run(graph: Path, operators: Operators, tokens: int) -> np.ndarray:
    plan = plan_here(Workload(role="decode", threads=2))
    edited = None if operators is STOCK else rewrite(graph)
    found: np.ndarray = open_session(graph, plan, operators, edited).run(None, inputs(tokens))[0]
    return found


KINDS: dict[str, dict[str, Any]] = {
    "swiglu": {},
    "clipped, with biases and zero points": {"clipped": True, "bias": True, "zeros": True},
    "8 bits": {"bits": 8},
    "8 bits with zero points": {"bits": 8, "zeros": True},
    "scales in f32": {"half": False},
}


@pytest.mark.parametrize("tokens", [1, 70])
@pytest.mark.parametrize("kind", KINDS)
def test_experts_give_what_stock_experts_give(kind: str, tokens: int, tmp_path: Path) -> None:
    layer = random_experts(np.random.default_rng(0), EXPERTS, HIDDEN, INNER, **KINDS[kind])
    graph = save(tmp_path, layer)
    assert rewrite(graph) is not None
    own, stock = both(graph, tokens)
    assert np.abs(own - stock).max() <= 0.04 * np.abs(stock).max()


@pytest.mark.parametrize("tokens", [1, 70])
@pytest.mark.parametrize("half", [False, True])
def test_experts_of_mxfp4_give_what_their_numbers_say(
    half: bool, tokens: int, tmp_path: Path
) -> None:
    """ONNX Runtime's schema has them, and its CPU provider does not run them."""
    kind = {"mx": True, "clipped": True, "bias": True, "half": half}
    layer = random_experts(np.random.default_rng(0), EXPERTS, HIDDEN, INNER, **kind)
    found = run(save(tmp_path, layer), OPERATORS, tokens)
    feeds = inputs(tokens)
    wanted, size = expert_reference(layer, feeds["x"][0], feeds["logits"])
    assert np.median(np.abs(found[0] - wanted) / size) <= 1e-5
    assert (np.abs(found[0] - wanted) <= 0.03 * size).all()


LEFT_MX: dict[str, dict[str, Any]] = {
    "other type": {"quant_type": "nvfp4"},
    "integers": {"quant_type": "int"},
    "other groups": {"block_size": 16},
    "exact": {"accuracy_level": 1},
}


@pytest.mark.parametrize("name", LEFT_MX)
def test_experts_of_another_float_are_left_as_they_are(name: str, tmp_path: Path) -> None:
    layer = random_experts(np.random.default_rng(0), EXPERTS, HIDDEN, INNER, mx=True)
    assert rewrite(save(tmp_path, layer, LEFT_MX[name])) is None


LEFT = {
    "other activations": {"activation_type": "silu", "swiglu_fusion": 0},
    "sparse mixer": {"use_sparse_mixer": 1},
    "unnormalized": {"normalize_routing_weights": 0},
    "other bits": {"fc1_expert_weight_bits": 8},
    "other types": {"quant_type": "fp8"},
    "groups too large": {"block_size": 512},
    "rows of one scale": {"block_size": None},
}


@pytest.mark.parametrize("name", LEFT)
def test_experts_of_another_kind_are_left_as_they_are(name: str, tmp_path: Path) -> None:
    layer = random_experts(np.random.default_rng(0), EXPERTS, HIDDEN, INNER)
    assert rewrite(save(tmp_path, layer, LEFT[name])) is None


@pytest.mark.parametrize("tokens", [1, 70])
@pytest.mark.parametrize("kind", [{}, {"zeros": True, "bias": True, "clipped": True}])
def test_codes_without_rounding_give_what_stock_experts_give(
    kind: dict[str, Any], tokens: int, tmp_path: Path
) -> None:
    layer = random_experts(np.random.default_rng(0), EXPERTS, HIDDEN, INNER, **kind)
    own, stock = both(save(tmp_path, layer, {"accuracy_level": 1}), tokens)
    np.testing.assert_allclose(own, stock, atol=1e-5 * np.abs(stock).max())


def save_floats(folder: Path, stored: str, *, shares: bool = False) -> Path:
    """A graph of one MoE over floats, or over codes of 8 bits behind DequantizeLinear."""
    rng = np.random.default_rng(0)
    make, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes, kept, names = [], [], []
    for name, rows, columns in (("up", 2 * INNER, HIDDEN), ("down", HIDDEN, INNER)):
        numbers = rng.normal(size=(EXPERTS, rows, columns)).astype(np.float32) / 8
        bias = rng.normal(size=(EXPERTS, rows)).astype(np.float32)
        names += [f"{name}.wide", f"{name}.bias"]
        kept.append(onnx.numpy_helper.from_array(bias, names[-1]))
        if stored == "codes":
            shape = (EXPERTS, rows, columns // 32)
            scales = rng.uniform(0.01, 0.02, shape).astype(np.float16)
            parts = {
                name: rng.integers(0, 256, numbers.shape, np.uint8),
                f"{name}.scales": scales,
                f"{name}.zeros": rng.integers(120, 136, shape, np.uint8),
            }
            kept += [onnx.numpy_helper.from_array(array, key) for key, array in parts.items()]
            nodes.append(make("Cast", [f"{name}.scales"], [f"{name}.wide_scales"], to=1))
            reads = [name, f"{name}.wide_scales", f"{name}.zeros"]
            nodes.append(make("DequantizeLinear", reads, [f"{name}.wide"], axis=2, block_size=32))
            continue
        kind = {"f16": np.float16, "bf16": ml_dtypes.bfloat16}.get(stored, np.float32)
        wide = stored == "f32"
        kept.append(onnx.numpy_helper.from_array(numbers.astype(kind), names[-2] if wide else name))
        nodes += [] if wide else [make("Cast", [name], [f"{name}.wide"], to=1)]
    gates = {"activation_type": "swiglu", "swiglu_fusion": 1, "activation_alpha": 1.0}
    logits, given = ("logarithms", "part") if shares else ("logits", "y")
    attributes = {"k": 2, "normalize_routing_weights": 1, "activation_beta": 0.0, **gates}
    reads = ["x", logits, *names]
    nodes.append(make("MoE", reads, [given], "moe", domain="com.microsoft", **attributes))
    if shares:
        ones = np.ones((EXPERTS, 1), np.float32)
        kept += [
            onnx.numpy_helper.from_array(ones, "ones"),
            onnx.numpy_helper.from_array(np.array(1e-30, np.float32), "least"),
        ]
        nodes[:0] = [
            make("Max", ["logits", "least"], ["raised"]),
            make("Log", ["raised"], ["logarithms"]),
        ]
        nodes += [
            make("MatMul", ["logits", "ones"], ["sum"], "/moe/total"),
            make("Mul", ["part", "sum"], ["y"]),
        ]
    graph = onnx.helper.make_graph(
        nodes,
        "sketch",
        [info("x", 1, [1, "T", HIDDEN]), info("logits", 1, ["T", EXPERTS])],
        [info("y", 1, [1, "T", HIDDEN])],
        kept,
    )
    sets = [onnx.helper.make_opsetid(*one) for one in (("", 22), ("com.microsoft", 1))]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=sets, ir_version=12), folder / "model.onnx"
    )
    return folder / "model.onnx"


@pytest.mark.parametrize("tokens", [1, 70])
@pytest.mark.parametrize("stored", ["f32", "f16", "bf16", "codes"])
def test_floats_give_what_stock_experts_give(stored: str, tokens: int, tmp_path: Path) -> None:
    graph = save_floats(tmp_path, stored)
    edited = rewrite(graph)
    assert edited is not None
    assert edited.row_wise
    own, stock = both(graph, tokens)
    np.testing.assert_allclose(own, stock, atol=1e-5 * np.abs(stock).max())


def test_shares_are_read_in_place_of_their_logarithms(tmp_path: Path) -> None:
    """Those of a token need not be 1 together, and one may be less than zero."""
    graph = save_floats(tmp_path, "f32", shares=True)
    edited = rewrite(graph)
    assert edited is not None
    assert edited.row_wise
    plan = plan_here(Workload(role="decode", threads=2))
    x = np.repeat(inputs(1)["x"], 3, axis=1)
    shares = np.zeros((3, EXPERTS), np.float32)
    shares[0, [1, 4]], shares[1, 1], shares[2, 4] = (0.5, -1.5), 1.0, 1.0
    session = open_session(graph, plan, OPERATORS, edited)
    both, first, second = session.run(None, {"x": x, "logits": shares})[0][0]
    np.testing.assert_allclose(both, 0.5 * first - 1.5 * second, rtol=1e-4, atol=1e-5)


def test_experts_with_more_chosen_than_there_are_do_not_load(tmp_path: Path) -> None:
    layer = random_experts(np.random.default_rng(0), EXPERTS, HIDDEN, INNER, top_k=EXPERTS + 1)
    graph = save(tmp_path, layer)
    plan = plan_here(Workload(role="decode", threads=2))
    with pytest.raises(BundleDamagedError, match="top_k is out of range"):
        open_session(graph, plan, OPERATORS, rewrite(graph))
