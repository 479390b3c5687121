"""An ONNX graph has the weights of the OpenVINO graph, however these are stored."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.quantized_cases import PACKED, load

from nanoaccel.testing import tiny_models

pytest.importorskip("onnx_ir")

import onnx_ir as ir
from support.onnx_models import OnnxModel

from nanoaccel.bundle import exact_graph
from nanoaccel.errors import ExportError
from nanoaccel.exporters.quantize.compression import Calibration
from nanoaccel.exporters.quantize.recipe import Override, Recipe
from nanoaccel.exporters.targets.onnx.compare import check_same
from nanoaccel.exporters.targets.onnx.runner import OnnxRunner
from nanoaccel.exporters.targets.onnx.save import DATA
from nanoaccel.exporters.targets.onnx.weights import read_weights
from nanoaccel.exporters.targets.openvino.runner import GraphRunner
from nanoaccel.openvino_core import openvino_core

pytestmark = pytest.mark.export

TOKENS = np.random.default_rng(1).integers(3, tiny_models.VOCAB_SIZE, 40)
TEXTS = [TOKENS[: len(TOKENS) // 2], TOKENS]
MIXED = (
    Override(layers="*.v_proj", weights="int8"),
    Override(layers="*.0.mlp.gate_proj", weights="float"),
)
RECIPES = {
    "int4": Recipe(group_size=32),
    "int4-asym-16": Recipe(group_size=16, symmetric=False),
    "int4-rows-asym": Recipe(group_size=-1, symmetric=False),
    "int4-48": Recipe(group_size=48),
    "int4-everything": Recipe(group_size=32, symmetric=False, embeddings="same", last_layer="same"),
    "int4-float-ends": Recipe(group_size=32, embeddings="float", last_layer="float"),
    "int4-mixed": Recipe(group_size=32, overrides=MIXED),
    "int4-awq": Recipe(group_size=32, symmetric=False, methods=("awq", "scale-estimation")),
    "int8": Recipe(weights="int8"),
    "int8-asym": Recipe(weights="int8", symmetric=False),
    "bf16": Recipe(weights="bf16"),
}

TIED = ("int4", "int4-rows-asym", "int4-everything", "int4-float-ends", "int8-asym", "bf16")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, OnnxModel]:
    return {
        # No power of two that ONNX Runtime takes divides 100: groups and blocks are padded.
        name: OnnxModel.make(tmp_path_factory.mktemp(name), tiny_models.make_model("llama", **more))
        for name, more in {
            "plain": {},
            "tied": {"tie_word_embeddings": True, "intermediate_size": 100},
        }.items()
    }


def calibration(folder: Path) -> Calibration:
    random = np.random.default_rng(2)
    samples = [random.integers(3, tiny_models.VOCAB_SIZE, 48) for _ in range(3)]
    return Calibration(samples, folder)


def check_same_logits(graph: Path, compressed: Path) -> None:
    found = OnnxRunner(graph).logits(TOKENS)
    wanted = GraphRunner(compressed).logits(TOKENS)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def kinds(graph: Path) -> Counter[str]:
    return Counter(node.op_type for node in ir.load(graph).graph)


@pytest.mark.parametrize(
    ("model", "name"), [*(("plain", name) for name in RECIPES), *(("tied", name) for name in TIED)]
)
def test_onnx_graph_computes_what_the_openvino_graph_does(
    models: dict[str, OnnxModel], tmp_path: Path, model: str, name: str
) -> None:
    graph, compressed = models[model].export(tmp_path, RECIPES[name], calibration(tmp_path / "cal"))
    check_same_logits(graph, compressed)


def test_onnx_graph_fuses_what_is_stored_alike(
    models: dict[str, OnnxModel], tmp_path: Path
) -> None:
    graph, _ = models["plain"].export(tmp_path / "alike", Recipe(group_size=32))
    assert kinds(graph)["MatMulNBits"] == 4 * 3 + 1
    graph, _ = models["plain"].export(tmp_path / "mixed", RECIPES["int4-mixed"])
    found = kinds(graph)
    # q and k together, v alone; gate and up apart in the first layer.
    assert (found["MatMulNBits"], found["MatMul"]) == (5 * 3 + 1, 1)


def test_onnx_graph_takes_over_a_scaled_input(tmp_path: Path) -> None:
    """AWQ scales what goes into Phi-3's last projection of a layer, as it cannot scale weights."""
    model = OnnxModel.make(tmp_path, tiny_models.make_model("phi3"))
    recipe = Recipe(group_size=32, methods=("awq",))
    graph, compressed = model.export(tmp_path / "out", recipe, calibration(tmp_path / "cal"))
    scaled = [
        weight
        for weight in read_weights(openvino_core().read_model(compressed)).products.values()
        if weight.input_scale is not None
    ]
    assert scaled
    check_same_logits(graph, compressed)


@pytest.mark.parametrize("name", ["gptq-act-order-asym", "pack-quantized"])
def test_onnx_graph_keeps_the_integers_of_a_quantized_checkpoint(tmp_path: Path, name: str) -> None:
    PACKED[name](tmp_path / "source")
    model, packed = load(tmp_path / "source")
    made = OnnxModel.make(tmp_path, model, packed)
    graph, compressed = made.export(tmp_path / "out", Recipe(group_size=32))
    check_same_logits(graph, compressed)
    stored = read_weights(openvino_core().read_model(compressed)).products
    for module, weight in packed.items():
        own = stored[module].dequantize()
        if weight.permutation is not None:
            own[:, weight.permutation] = own.copy()
        np.testing.assert_allclose(own, weight.dequantize(), rtol=1e-6)


def test_onnx_graphs_fast_and_exact_share_their_weights(
    models: dict[str, OnnxModel], tmp_path: Path
) -> None:
    graph, compressed = models["tied"].export(tmp_path / "int8", Recipe(weights="int8"))
    levels = {
        file.name: {
            node.attributes["accuracy_level"].as_int()
            for node in ir.load(file).graph
            if node.op_type == "MatMulNBits"
        }
        for file in (graph, exact_graph(graph))
    }
    assert levels == {"model.onnx": {4}, "model.f32.onnx": {1}}
    weights = compressed.with_suffix(".bin").stat().st_size
    # Small constants are padded, and OpenVINO's small ones are in its xml file.
    assert graph.with_name(DATA).stat().st_size < 1.05 * weights
    graph, _ = models["plain"].export(tmp_path / "f32", Recipe(weights="f32"))
    assert not exact_graph(graph).exists()


def test_onnx_graph_with_other_weights_is_refused(
    models: dict[str, OnnxModel], tmp_path: Path
) -> None:
    graph, compressed = models["plain"].export(tmp_path / "a", Recipe(group_size=32))
    _, other = models["plain"].export(tmp_path / "b", Recipe(weights="int8"))
    check_same(OnnxRunner(graph), TEXTS, [GraphRunner(compressed).logits(one) for one in TEXTS])
    with pytest.raises(ExportError, match="gives other logits than the OpenVINO graph"):
        check_same(OnnxRunner(graph), TEXTS, [GraphRunner(other).logits(one) for one in TEXTS])


def dequantized(model: Any) -> dict[str, np.ndarray]:
    return {name: w.dequantize() for name, w in read_weights(model).products.items()}


def test_read_weights_undoes_the_fusion_of_projections(
    models: dict[str, OnnxModel], tmp_path: Path
) -> None:
    _, compressed = models["plain"].export(tmp_path, Recipe(weights="int8"))
    found = dequantized(openvino_core().read_model(compressed))
    for name, module in models["plain"].model.named_modules():
        if name.endswith("_proj"):
            wanted = module.weight.detach().numpy()
            np.testing.assert_allclose(found[name], wanted, atol=0.006 * np.abs(wanted).max())
