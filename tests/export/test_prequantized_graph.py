"""Checkpoints that come quantized: what reaches the graph."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops
from support import quantized_checkpoints as checkpoints
from support.quantized_cases import PACKED, load

from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.source.prequantized import Checkpoint, PackedWeight, load_quantized
from nanoaccel.exporters.source.prequantized.insert import insert_packed
from nanoaccel.exporters.targets.openvino.trace import trace
from nanoaccel.fuse_projections import fuse_projections
from nanoaccel.openvino_core import openvino_core

pytestmark = pytest.mark.export

TOKENS = np.arange(3, 15)[None]
PROJECTIONS = 7 * 3


def torch_logits(model: Any) -> np.ndarray:
    import torch

    with torch.no_grad():
        return model(torch.from_numpy(TOKENS)).logits.numpy()


def graph_logits(model: ov.Model | Path) -> np.ndarray:
    # Dynamic quantization rounds activations; what is asked here is whether the weights are right.
    exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    compiled = openvino_core().compile_model(model, "CPU", exact)
    inputs = {
        "input_ids": TOKENS,
        "attention_mask": np.ones_like(TOKENS),
        "position_ids": np.arange(TOKENS.size)[None],
        "beam_idx": np.zeros(1, np.int32),
    }
    wanted = {value.get_any_name() for value in compiled.inputs}
    return compiled({k: v for k, v in inputs.items() if k in wanted})["logits"].copy()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Graphs of a Llama and of a Qwen2, which has biases.

    Checkpoints of one architecture differ in their projections only, and the projections of these
    graphs come from other checkpoints: right logits can only come from what is inserted.
    """
    graphs = {}
    for kind in ("llama", "qwen2"):
        folder = tmp_path_factory.mktemp(kind)
        checkpoints.write_bitsandbytes(folder, kind, layout="int8")
        with quiet():
            graphs[kind] = trace(load(folder)[0], folder / "traced")
    return graphs


def matrices(model: ov.Model) -> Counter[str]:
    """Large integer constants by type: weights, not their zero points."""
    return Counter(
        node.get_element_type().get_type_name()
        for node in model.get_ops()
        if node.get_type_name() == "Constant"
        and node.get_element_type() in (ov.Type.u4, ov.Type.i4, ov.Type.u8, ov.Type.i8)
        and math.prod(node.get_output_shape(0)) >= 32 * 64
    )


def kinds(model: ov.Model) -> Counter[str]:
    return Counter(node.get_type_name() for node in model.get_ops())


@pytest.mark.parametrize("name", PACKED)
def test_insert_packed_keeps_logits_and_four_bits(
    traced: dict[str, Path], tmp_path: Path, name: str
) -> None:
    PACKED[name](tmp_path)
    model, packed = load(tmp_path)
    graph = openvino_core().read_model(traced[model.config.model_type])
    gathers = kinds(graph)["Gather"]
    assert insert_packed(graph, packed) == (PROJECTIONS, [])
    assert fuse_projections(graph) == 2 * 3
    path = tmp_path / "packed.xml"
    ov.save_model(graph, path, compress_to_fp16=False)
    saved = openvino_core().read_model(path)
    symmetric = all(weight.symmetric for weight in packed.values())
    assert matrices(saved) == {"i4" if symmetric else "u4": 4 * 3}
    assert kinds(saved)["Gather"] - gathers == (4 * 3 if "act-order" in name else 0)
    assert np.abs(graph_logits(path) - torch_logits(model)).max() < 2e-2


@pytest.mark.parametrize(
    "name", ["gptq", "gptq-asym", "gptq-asym-f32", "gptq-act-order", "pack-quantized-rows-asym"]
)
def test_insert_packed_stays_four_bit_when_compiled(
    traced: dict[str, Path], tmp_path: Path, name: str
) -> None:
    PACKED[name.removesuffix("-f32")](tmp_path)
    _, packed = load(tmp_path)
    if name.endswith("-f32"):  # scales that f16 does not hold
        packed = {
            name: replace(weight, scales=weight.scales * np.float32(1.0001))
            for name, weight in packed.items()
        }
    graph = openvino_core().read_model(traced["llama"])
    insert_packed(graph, packed)
    ov.save_model(graph, tmp_path / "packed.xml", compress_to_fp16=False)
    compiled = openvino_core().compile_model(tmp_path / "packed.xml", "CPU")
    products = Counter(
        node.input(1).get_element_type().get_type_name()
        for node in compiled.get_runtime_model().get_ops()
        if node.get_rt_info()["layerType"].astype(str) == "FullyConnected"
    )
    assert products["u4"] + products["i4"] == PROJECTIONS


@pytest.mark.parametrize("mode", ["INT8_SYM", "INT4_SYM"])
def test_insert_packed_gives_the_same_before_and_after_compression(
    traced: dict[str, Path], tmp_path: Path, mode: str
) -> None:
    PACKED["gptq-act-order-asym"](tmp_path)
    _, packed = load(tmp_path)
    groups = {"group_size": 32} if mode == "INT4_SYM" else {}
    before, after = (openvino_core().read_model(traced["llama"]) for _ in range(2))
    with quiet():
        insert_packed(before, packed)
        before = nncf.compress_weights(before, mode=nncf.CompressWeightsMode[mode], **groups)
        after = nncf.compress_weights(after, mode=nncf.CompressWeightsMode[mode], **groups)
        insert_packed(after, packed)
    backup = "i8" if mode == "INT8_SYM" else "u8"  # of the embedding and the last projection
    assert matrices(before) == matrices(after) == {"u4": PROJECTIONS, backup: 2}
    np.testing.assert_allclose(graph_logits(before), graph_logits(after), atol=1e-4)


def test_insert_packed_works_on_half_precision_graphs(tmp_path: Path) -> None:
    PACKED["gptq-act-order"](tmp_path)
    checkpoint = Checkpoint(method="gptq", format="gptq", bits=4)
    with quiet():
        half, packed = load_quantized(tmp_path, checkpoint)
        assert str(half.dtype) == "torch.float16"
        graph = openvino_core().read_model(trace(half, tmp_path / "traced"))
    assert insert_packed(graph, packed) == (PROJECTIONS, [])
    assert fuse_projections(graph) == 2 * 3
    exact, _ = load(tmp_path)
    assert np.abs(graph_logits(graph) - torch_logits(exact)).max() < 2e-2


def test_insert_packed_names_what_the_graph_has_not() -> None:
    x = ops.parameter([-1, 64], np.float32, name="x")
    product = ops.matmul(x, ops.constant(np.ones((8, 64), np.float32)), False, True)
    product.set_friendly_name("__module.a/ov_ext::linear/MatMul")
    model = ov.Model([ops.result(product)], [x], "m")
    one = np.ones((16, 1), np.float16)
    odd = PackedWeight(np.zeros((16, 64), np.uint8), one, one.astype(np.uint8), 64)
    assert insert_packed(model, {"a": odd, "b": odd}) == (0, ["a", "b"])
