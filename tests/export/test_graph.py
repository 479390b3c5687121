"""What the exporter does to a graph, seen in the graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from nanoaccel.exporters.quantize.compression import (
    compress,
    find_layers,
    storage_of,
    weight_statistics,
)
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.targets.openvino.trace import trace
from nanoaccel.fuse_projections import fuse_projections
from nanoaccel.openvino_core import openvino_core
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.openvino import load
from nanoaccel.runtime.types.packing import even_plan
from nanoaccel.testing import tiny_models

pytestmark = pytest.mark.export

RECIPES = [
    Recipe(weights="f32"),
    Recipe(weights="int8"),
    Recipe(weights="int8", symmetric=False),
    Recipe(weights="int4", group_size=32),
    Recipe(weights="int4", group_size=32, symmetric=False),
    Recipe(weights="int4", group_size=-1),
]


@pytest.fixture(scope="module", params=["qwen2", "llama-bf16"])
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen2 has biases; bf16 weights have a conversion before each product."""
    import torch

    kind, _, half = request.param.partition("-")
    model = tiny_models.make_model(kind)
    if half:
        model = model.to(torch.bfloat16)
    with quiet():
        return trace(model, tmp_path_factory.mktemp(kind))


def compressed(graph: Path, recipe: Recipe) -> ov.Model:
    model = openvino_core().read_model(graph)
    layers = find_layers(model)
    with quiet():
        return compress(model, recipe, layers, storage_of(layers, recipe))


def kinds(model: ov.Model) -> Counter[str]:
    return Counter(node.get_type_name() for node in model.get_ops())


def logits(model: ov.Model) -> np.ndarray:
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    count = 12
    inputs = {
        "input_ids": np.arange(3, 3 + count)[None],
        "attention_mask": np.ones((1, count), np.int64),
        "position_ids": np.arange(count)[None],
        "beam_idx": np.zeros(1, np.int32),
    }
    wanted = {value.get_any_name() for value in compiled.inputs}
    return compiled({k: v for k, v in inputs.items() if k in wanted})["logits"].copy()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.describe())
def test_fuse_projections_leaves_the_numbers_as_they_are(traced: Path, recipe: Recipe) -> None:
    model = compressed(traced, recipe)
    before, products = logits(model), kinds(model)["MatMul"]
    assert fuse_projections(model) == 6
    assert kinds(model)["MatMul"] == products - 3 * 3
    assert kinds(model)["VariadicSplit"] == 6
    after = logits(model)
    assert np.abs(after - before).max() < 1e-4 * np.abs(before).max()


def test_fuse_projections_fuses_biases_too(tmp_path: Path) -> None:
    with quiet():
        model = openvino_core().read_model(trace(tiny_models.make_model("qwen2"), tmp_path))
    additions = kinds(model)["Add"]
    fuse_projections(model)
    assert kinds(model)["Add"] == additions - 3 * 2


def test_a_load_fuses_projections_that_are_apart(traced: Path) -> None:
    found = []
    for fuse in (False, True):
        options = BackendOptions(graph=traced, precision="f32", fuse_projections=fuse, profile=True)
        backend = load(options)
        backend.allocate_cache(2)
        backend.begin_section()
        after = backend.forward(even_plan([[0], [1]], 0, 5)).logits.copy()
        ((*operators,),) = backend.operator_times()
        found.append((after, sum(item.kind == "FullyConnected" for item in operators)))
        backend.close()
    (apart, products), (fused, fewer) = found
    np.testing.assert_allclose(fused, apart, atol=1e-4)
    assert products - fewer == 3 * 3


def test_fuse_projections_leaves_unlike_weights_apart() -> None:
    x = ops.parameter([-1, 8], np.float32, name="x")
    plain = ops.constant(np.ones((4, 8), np.float32))
    half = ops.convert(ops.constant(np.ones((4, 8), np.float16)), "f32")
    products = [ops.matmul(x, weight, False, True) for weight in (plain, half)]
    model = ov.Model([ops.result(product) for product in products], [x], "m")
    assert fuse_projections(model) == 0
    assert kinds(model)["MatMul"] == 2


def test_compress_int4_keeps_embedding_and_last_projection_at_int8(traced: Path) -> None:
    model = compressed(traced, Recipe(group_size=32))
    statistics = weight_statistics(model)
    vocabulary = tiny_models.VOCAB_SIZE * 64
    assert statistics.group_size == 32
    assert statistics.parameters["i8"] == 2 * vocabulary
    assert set(statistics.parameters) == {"i4", "i8"}


@pytest.mark.parametrize(
    ("hidden", "intermediate", "smallest"), [(96, 160, 32), (64, 72, 64), (48, 112, 16)]
)
def test_compress_falls_back_where_the_group_size_does_not_divide(
    tmp_path: Path, hidden: int, intermediate: int, smallest: int
) -> None:
    model = tiny_models.make_model("llama", hidden_size=hidden, intermediate_size=intermediate)
    with quiet():
        traced = trace(model, tmp_path)
    graph = compressed(traced, Recipe(group_size=64))
    assert weight_statistics(graph).group_size == smallest
    fuse_projections(graph)
    assert np.isfinite(logits(graph)).all()


def test_fuse_projections_keeps_half_precision_weights_small_in_memory(tmp_path: Path) -> None:
    import torch

    model = tiny_models.make_model("llama", hidden_size=256).to(torch.bfloat16)
    with quiet():
        graph = openvino_core().read_model(trace(model, tmp_path / "traced"))
    fuse_projections(graph)
    ov.save_model(graph, tmp_path / "fused.xml", compress_to_fp16=False)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino_core().compile_model(tmp_path / "fused.xml", "CPU", options)
    products = [
        node
        for node in compiled.get_runtime_model().get_ops()
        if node.get_rt_info()["layerType"].astype(str) == "FullyConnected"
    ]
    assert len(products) == 3 * 4 + 1
    assert all(node.input(1).get_element_type() == ov.Type.bf16 for node in products)
