"""Every type of weights, made by every method that it can be made with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from support.traced_graphs import (
    calibration_in,
    compressed,
    saved_bytes,
    stored_types,
    trace_llama,
)

from nanoaccel.errors import ConfigError, ExportError
from nanoaccel.exporters.quantize.compression import (
    Calibration,
    find_layers,
    storage_of,
    weight_statistics,
)
from nanoaccel.exporters.quantize.compression.folded import folded_in
from nanoaccel.exporters.quantize.methods import methods_for
from nanoaccel.exporters.quantize.recipe import Override, Recipe
from nanoaccel.exporters.quantize.weight_types import FLOATS, TRAITS
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.targets.onnx.weights import read_weights
from nanoaccel.exporters.targets.openvino.runner import GraphRunner
from nanoaccel.exporters.targets.openvino.trace import trace
from nanoaccel.openvino_core import openvino_core
from nanoaccel.testing import tiny_models

pytestmark = pytest.mark.export

ELEMENTS = {
    "int8": "i8", "fp8": "f8e4m3", "mxfp8": "f8e4m3", "int4": "i4", "nf4": "nf4",
    "fp4": "f4e2m1", "mxfp4": "f4e2m1", "nvfp4": "f4e2m1", "cb4": "u4", "int3": "u3", "int2": "u2",
}  # fmt: skip
CASES: list[tuple[Any, Any]] = [
    (weights, methods)
    for weights in TRAITS
    if weights not in FLOATS
    for methods in [(), *((method,) for method in methods_for(weights))]
]
PROJECTIONS = 128 * 128 * 2 + 64 * 128 * 2 + 256 * 128 * 3
TABLES = 2 * 384 * 128
Q = "model.layers.0.self_attn.q_proj"
DOWN = "model.layers.0.mlp.down_proj"


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trace_llama(tmp_path_factory.mktemp("traced"), layers=1)


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trace_llama(tmp_path_factory.mktemp("tied"), layers=1, tied=True)


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    return calibration_in(tmp_path_factory.mktemp("calibration"))


@pytest.mark.parametrize(("weights", "methods"), CASES)
def test_compress_makes_each_type_with_each_method(
    traced: Path, calibration: Calibration, weights: Any, methods: Any
) -> None:
    recipe = Recipe(weights=weights, methods=methods)
    model = compressed(traced, recipe, calibration)
    statistics = weight_statistics(model)
    if weights == "int8":
        assert statistics.parameters == {"i8": PROJECTIONS + TABLES}
    else:
        assert statistics.parameters == {ELEMENTS[weights]: PROJECTIONS, "i8": TABLES}
    assert statistics.group_size == (None if recipe.group == -1 else recipe.group)
    tokens = calibration.samples[0]
    assert GraphRunner(model).logits(tokens).shape == (len(tokens), 384)  # finite, or it raises


@pytest.mark.parametrize("weights", FLOATS)
def test_compress_leaves_floats_as_they_are(traced: Path, weights: Any) -> None:
    model = compressed(traced, Recipe(weights=weights))
    assert weight_statistics(model).parameters == {"f32": PROJECTIONS + TABLES}


@pytest.mark.parametrize(
    "methods",
    [("scale-estimation",), ("awq", "scale-estimation"), ("awq", "scale-estimation", "gptq")],
)
def test_compress_with_methods_comes_closer_to_the_original(
    traced: Path, calibration: Calibration, methods: Any
) -> None:
    tokens = calibration.samples[0]
    original = GraphRunner(traced).logits(tokens)

    def error(recipe: Recipe) -> float:
        model = compressed(traced, recipe, calibration)
        return float(np.square(GraphRunner(model).logits(tokens) - original).mean())

    assert error(Recipe(symmetric=False, methods=methods)) < error(Recipe(symmetric=False))


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(weights="int4", methods=("scale-estimation",)),
        Recipe(weights="int4", methods=("awq", "scale-estimation")),
        Recipe(weights="nf4", methods=("gptq",)),
        Recipe(weights="int3", methods=("awq",)),
    ],
    ids=lambda recipe: recipe.describe(),
)
def test_compress_gives_the_same_bytes_twice(traced: Path, tmp_path: Path, recipe: Recipe) -> None:
    first, second = (
        saved_bytes(compressed(traced, recipe, calibration_in(tmp_path / name)), tmp_path)
        for name in ("a", "b")
    )
    assert first == second


@pytest.mark.parametrize("weights", ["int8", "int4", "nvfp4", "cb4", "int3"])
@pytest.mark.parametrize(
    ("embeddings", "last_layer"), [("same", "int8"), ("float", "same"), ("int8", "float")]
)
def test_compress_stores_embedding_and_last_projection_as_it_is_told(
    traced: Path, weights: Any, embeddings: Any, last_layer: Any
) -> None:
    recipe = Recipe(weights=weights, embeddings=embeddings, last_layer=last_layer)
    model = compressed(traced, recipe)
    elements = {"same": ELEMENTS[weights], "float": "f32", "int8": "i8"}
    found = stored_types(model)
    assert found["model.embed_tokens"] == elements[embeddings]
    assert found["lm_head"] == elements[last_layer]
    assert found[Q] == ELEMENTS[weights]
    GraphRunner(model).logits(np.arange(3, 9))


@pytest.mark.parametrize(("end", "expected"), [("same", "i4"), ("float", "f32"), ("int8", "i8")])
def test_compress_stores_a_tied_embedding_as_the_last_projection(
    tied: Path, end: Any, expected: str
) -> None:
    layers = find_layers(openvino_core().read_model(tied))
    assert [layer.kind for layer in layers if layer.kind != "projection"] == ["last"]
    last = next(layer for layer in layers if layer.kind == "last")
    assert (last.name, last.outputs, last.inputs, len(last.operations)) == ("lm_head", 384, 128, 2)
    found = stored_types(compressed(tied, Recipe(last_layer=end, embeddings="int8")))
    assert (found["model.embed_tokens"], found["lm_head"]) == (expected, expected)


@pytest.mark.parametrize(
    ("graph", "methods"),
    [("traced", ("gptq",)), ("tied", ("awq", "scale-estimation", "gptq"))],
)
def test_compress_by_gptq_makes_the_embedding_small_too(
    request: pytest.FixtureRequest, calibration: Calibration, graph: str, methods: Any
) -> None:
    recipe = Recipe(symmetric=False, methods=methods, embeddings="same", last_layer="same")
    model = compressed(request.getfixturevalue(graph), recipe, calibration)
    assert set(stored_types(model).values()) == {"u4"}
    GraphRunner(model).logits(calibration.samples[0])


@pytest.mark.parametrize(
    ("weights", "methods"),
    [
        ("int4", ("awq",)),
        ("int4", ("scale-estimation",)),
        ("int4", ("gptq",)),
        ("int3", ("awq",)),
        ("int3", ("gptq",)),
        ("cb4", ()),
        ("mxfp4", ()),
    ],
)
def test_compress_keeps_single_layers_out(
    traced: Path, calibration: Calibration, weights: Any, methods: Any
) -> None:
    overrides = (
        Override(layers="*.v_proj", weights="int8"),
        Override(layers=DOWN, weights="float"),
        Override(layers="lm_head", weights=weights),
    )
    recipe = Recipe(weights=weights, methods=methods, overrides=overrides)
    model = compressed(traced, recipe, calibration)
    found = stored_types(model)
    assert found["model.layers.0.self_attn.v_proj"] == "i8"
    assert found[DOWN] == "f32"
    assert found["lm_head"] == found[Q] == ELEMENTS[weights]
    GraphRunner(model).logits(calibration.samples[0])


def test_compress_stores_kept_layers_and_ends_asymmetrically_too(traced: Path) -> None:
    overrides = (Override(layers=DOWN, weights="int8"),)
    found = stored_types(compressed(traced, Recipe(symmetric=False, overrides=overrides)))
    assert (found[DOWN], found["lm_head"], found[Q]) == ("u8", "u8", "u4")


def test_compress_tells_how_far_it_is(traced: Path, tmp_path: Path) -> None:
    calibration = calibration_in(tmp_path)
    told: list[tuple[float, str, int]] = []

    def tell(done: float, part: str = "", size: int = 0) -> None:
        told.append((done, part, size))

    compressed(traced, Recipe(methods=("gptq",)), calibration, tell)
    assert all(0 < done <= 1 for done, _, _ in told)
    parts = {part for _, part, _ in told}
    assert {"statistics collection", "applying gptq", "applying weight compression"} <= parts
    assert told[-1] == (1, "round the weights", 4 * TABLES)
    told.clear()
    compressed(traced, Recipe(methods=("scale-estimation",)), calibration, tell)
    assert {part for _, part, _ in told} == {"run the text", "round the weights"}
    assert told[-1] == (1, "round the weights", 4 * (PROJECTIONS + TABLES))


def test_compress_tells_what_nncf_cannot_do(traced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nncf

    def refuse(*_: Any, **__: Any) -> None:
        raise nncf.ParameterNotSupportedError("not\nthis")

    monkeypatch.setattr(nncf, "compress_weights", refuse)
    with pytest.raises(ExportError, match=r"make the model nf4.*: not\. Choose"):
        compressed(traced, Recipe(weights="nf4"))


def test_find_layers_without_logits_finds_no_last_projection(traced: Path) -> None:
    model = openvino_core().read_model(traced)
    model.output("logits").set_names({"hidden"})
    kinds = [layer.kind for layer in find_layers(model)]
    assert kinds == ["embedding", *["projection"] * 8]


def test_find_layers_takes_the_last_of_those_as_wide_as_the_vocabulary(tmp_path: Path) -> None:
    model = tiny_models.make_model("llama", intermediate_size=384, num_hidden_layers=1)
    with quiet():
        layers = find_layers(openvino_core().read_model(trace(model, tmp_path)))
    assert [layer.name for layer in layers if layer.kind == "last"] == ["lm_head"]
    with pytest.raises(ConfigError, match="match no layer"):
        storage_of(layers, Recipe(overrides=(Override(layers="lm", weights="int8"),)))


def test_graph_tells_what_awq_folded(traced: Path, tmp_path: Path) -> None:
    before = openvino_core().read_model(traced)
    recipe = Recipe(weights="int4", group_size=32, methods=("awq",))
    made = compressed(traced, recipe, calibration_in(tmp_path))
    folded = folded_in(made)
    up = DOWN.replace("down", "up")
    assert (folded.inputs.keys(), folded.outputs.keys()) == ({DOWN}, {up})
    factors = folded.outputs[up]
    np.testing.assert_array_equal(factors, folded.inputs[DOWN])
    assert np.abs(factors - 1).max() > 0.05
    original, stored = (read_weights(one).products[up].dequantize() for one in (before, made))
    rows = (original * stored).sum(1) / (original**2).sum(1)
    np.testing.assert_allclose(rows, factors, rtol=0.2)
