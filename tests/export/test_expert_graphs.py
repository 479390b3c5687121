"""Experts as they are traced: OpenVINO's CPU plugin reads the weights of chosen ones alone."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from support import tiny_configs
from support.tiny_configs import Family

torch = pytest.importorskip("torch")
ov = pytest.importorskip("openvino")

from support.traced_graphs import calibration_in, compressed, stored_types  # noqa: E402

from nanoaccel.exporters.quantize.budget import SLACK, Budget  # noqa: E402
from nanoaccel.exporters.quantize.compression import Layer, find_layers  # noqa: E402
from nanoaccel.exporters.quantize.possible import _matrices  # noqa: E402
from nanoaccel.exporters.quantize.recipe import Override, Recipe  # noqa: E402
from nanoaccel.exporters.quiet import quiet  # noqa: E402
from nanoaccel.exporters.targets.openvino.trace import trace  # noqa: E402
from nanoaccel.openvino_core import openvino_core  # noqa: E402

pytestmark = pytest.mark.export
# Products of a layer: gate, up and down; of gpt-oss gate and up are one.
PRODUCTS = {"mixtral": 3, "gpt_oss": 2}
RECIPES = {
    "floats": Recipe(weights="f32"),
    "int4": Recipe(weights="int4", group_size=32),
    "int4 with zero points": Recipe(weights="int4", symmetric=False, group_size=16),
    "int8": Recipe(weights="int8"),
}


def traced(kind: str, folder: Path, *, half: bool = False) -> Path:
    model = tiny_configs.make_model(Family(kind))
    with quiet():
        return trace(model.bfloat16() if half else model, folder)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: traced(kind, tmp_path_factory.mktemp(kind)) for kind in PRODUCTS}


def gathering(model: ov.Model) -> int:
    """Products of a compiled graph that read some matrices of many."""
    compiled = openvino_core().compile_model(model, "CPU")
    kinds = (node.get_rt_info()["layerType"] for node in compiled.get_runtime_model().get_ops())
    return Counter(kind.astype(str) for kind in kinds)["GatherMatmul"]


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="only the plugin for x86-64 gathers"
)
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", PRODUCTS)
def test_only_chosen_experts_are_read(kind: str, recipe: str, graphs: dict[str, Path]) -> None:
    model = compressed(graphs[kind], RECIPES[recipe])
    assert gathering(model) == 2 * PRODUCTS[kind]


@cache
def stacks(graph: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Types and shapes of the weights of experts, by name."""
    model = openvino_core().read_model(graph)
    return {
        node.get_friendly_name(): (
            node.get_element_type().get_type_name(),
            tuple(node.get_output_shape(0)),
        )
        for node in model.get_ops()
        if node.get_type_name() == "Constant"
        and len(node.get_output_shape(0)) == 3
        and node.get_friendly_name().endswith("_proj")
    }


@pytest.mark.parametrize("kind", PRODUCTS)
def test_experts_keep_the_type_of_their_weights(kind: str, tmp_path: Path) -> None:
    found = stacks(traced(kind, tmp_path, half=True))
    assert len(found) == 2 * PRODUCTS[kind]
    assert {stored for stored, _ in found.values()} == {"bf16"}


def test_rows_of_experts_are_outputs(graphs: dict[str, Path]) -> None:
    layer = "self.model.layers.0.mlp.experts"
    config = tiny_configs.config_of(Family("gpt_oss"))
    experts, width, inner = 4, config["hidden_size"], config["intermediate_size"]
    found = stacks(graphs["gpt_oss"])
    assert found[f"{layer}.gate_up_proj"] == ("f32", (experts, 2 * inner, width))
    assert found[f"{layer}.down_proj"] == ("f32", (experts, width, inner))
    found = stacks(graphs["mixtral"])
    assert {name.rpartition(".")[2] for name in found} == {"gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize("kind", PRODUCTS)
def test_experts_are_layers_of_the_names_that_are_known_before_they_are_traced(
    kind: str, graphs: dict[str, Path]
) -> None:
    found = [
        layer for layer in find_layers(openvino_core().read_model(graphs[kind])) if _is_stack(layer)
    ]
    known = [
        layer for layer in _matrices(tiny_configs.make_model(Family(kind))) if _is_stack(layer)
    ]
    assert [(one.name, one.outputs, one.inputs, one.matrices) for one in found] == [
        (one.name, one.outputs, one.inputs, one.matrices) for one in known
    ]
    assert len(found) == 2 * PRODUCTS[kind]
    assert all(layer.parameters == 4 * layer.outputs * layer.inputs for layer in found)


def _is_stack(layer: Layer) -> bool:
    return layer.matrices > 1


def test_overrides_reach_experts(graphs: dict[str, Path]) -> None:
    override = Override(layers="*.layers.1.*experts*", weights="int8")
    model = compressed(graphs["mixtral"], Recipe(group_size=32, overrides=(override,)))
    found = stored_types(model)
    for name in ("gate_proj", "up_proj", "down_proj"):
        assert found[f"model.layers.0.mlp.experts.{name}"] == "i4"
        assert found[f"model.layers.1.mlp.experts.{name}"] == "i8"


def test_budgets_count_experts(graphs: dict[str, Path], tmp_path: Path) -> None:
    """The file has the size that is expected of it."""
    graph = graphs["mixtral"]
    layers = find_layers(openvino_core().read_model(graph))
    budget = Budget(layers, [], graph.with_suffix(".bin").stat().st_size, 4)
    recipe = Recipe(group_size=32, target_bits=6.0)
    expected, _ = budget.range(recipe)
    path = tmp_path / "small.xml"
    ov.save_model(compressed(graph, replace(recipe, target_bits=None)), path, False)
    assert path.with_suffix(".bin").stat().st_size == pytest.approx(expected - SLACK, rel=0.02)


@pytest.mark.parametrize("method", ["awq", "scale-estimation", "gptq"])
@pytest.mark.parametrize("kind", PRODUCTS)
def test_experts_are_compressed_by_calibrated_methods(
    kind: str, method: str, graphs: dict[str, Path], tmp_path: Path
) -> None:
    recipe = Recipe(group_size=32, methods=(method,))
    model = compressed(graphs[kind], recipe, calibration_in(tmp_path))
    found = {name: stored for name, stored in stored_types(model).items() if "experts" in name}
    assert len(found) == 2 * PRODUCTS[kind]
    assert set(found.values()) == {"i4"}
    assert gathering(model) in (0, 2 * PRODUCTS[kind])
