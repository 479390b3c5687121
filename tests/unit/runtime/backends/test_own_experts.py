"""Graphs with NanoAccel's mixture of experts give what stock ones give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.native_experts import Experts, random_experts

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
    for first, zeros, matrices in ((2, 11, layer.gate_up), (5, 12, layer.down)):
        names = {"codes": first, "scales": first + 1, "bias": first + 2, "zeros": zeros}
        for name, place in names.items():
            if getattr(matrices[0], name) is not None:
                whole = np.stack([getattr(matrix, name) for matrix in matrices])
                if name == "codes":
                    whole = whole.reshape(*whole.shape[:2], -1)
                found[f"input_{place}"] = whole
    return found


def save(folder: Path, layer: Experts, changed: dict[str, Any] | None = None) -> Path:
    """A graph of one QMoE over x and logits."""
    stored = tensors(layer)
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
    }
    if np.isfinite(layer.limit):
        attributes["swiglu_limit"] = layer.limit
    attributes.update(changed or {})
    kept = {name: value for name, value in attributes.items() if value is not None}
    inputs = [name if name in stored else "" for name in (f"input_{i}" for i in range(13))]
    inputs[:2] = ["x", "logits"]
    node = onnx.helper.make_node("QMoE", inputs, ["y"], "experts", domain="com.microsoft", **kept)
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node],
        "sketch",
        [info("x", 1, [1, "T", HIDDEN]), info("logits", 1, ["T", EXPERTS])],
        [info("y", 1, [1, "T", HIDDEN])],
        [onnx.numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    sets = [onnx.helper.make_opsetid(*one) for one in (("", 22), ("com.microsoft", 1))]
    model = onnx.helper.make_model(graph, opset_imports=sets, ir_version=10)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def both(graph: Path, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """The outputs of own and of stock operators."""
    rng = np.random.default_rng(1)
    feeds = {
        "x": rng.normal(size=(1, tokens, HIDDEN)).astype(np.float32),
        "logits": rng.normal(size=(tokens, EXPERTS)).astype(np.float32),
    }
    plan = plan_here(Workload(role="decode", threads=2))
    graphs = ((OPERATORS, rewrite(graph)), (STOCK, None))
    own, stock = (open_session(graph, plan, *pair).run(None, feeds)[0] for pair in graphs)
    return own, stock


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


LEFT = {
    "exact": {"accuracy_level": 1},
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


def test_experts_with_more_chosen_than_there_are_do_not_load(tmp_path: Path) -> None:
    layer = random_experts(np.random.default_rng(0), EXPERTS, HIDDEN, INNER, top_k=EXPERTS + 1)
    graph = save(tmp_path, layer)
    plan = plan_here(Workload(role="decode", threads=2))
    with pytest.raises(BundleDamagedError, match="top_k is out of range"):
        open_session(graph, plan, OPERATORS, rewrite(graph))
