"""Integers of 4 and 8 bits that are rounded without NNCF."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from openvino import opset13 as ops
from support.traced_graphs import calibration_in, compressed, trace_llama

from nanoaccel.exporters.quantize.compression import find_layers, storage_of
from nanoaccel.exporters.quantize.compression.compress import compress
from nanoaccel.exporters.quantize.compression.integers.activations import mean_squares
from nanoaccel.exporters.quantize.compression.integers.grid import Codes, Grid, round_rows
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.openvino_core import openvino_core

pytestmark = pytest.mark.export


def weights_of(codes: Codes) -> torch.Tensor:
    """What codes stand for, f32[rows, inputs]."""
    groups = (codes.integers.float() - codes.zeros.float()) * codes.scales.float()
    return groups.flatten(1)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    bits=st.sampled_from([4, 8]),
    symmetric=st.booleans(),
    size=st.sampled_from([1e-2, 1.0, 1e3]),
    shift=st.sampled_from([-2.0, 0.0, 2.0]),
)
def test_rounding_is_to_the_nearest_number_of_the_grid(
    seed: int, bits: int, symmetric: bool, size: float, shift: float
) -> None:
    source = torch.Generator().manual_seed(seed)
    weight = (torch.randn(6, 64, generator=source) + shift) * size
    codes = round_rows(weight, Grid(bits, 32, symmetric), None)
    assert int(codes.integers.max()) < 1 << bits
    steps = codes.scales.float().abs()
    change = (weights_of(codes) - weight).reshape(6, 2, 32).abs()
    # A symmetric grid has no code for the opposite of its furthest one, and f16 rounds the scale.
    reach = steps * (1.01 if symmetric else 0.51) + weight.abs().max() * 2e-3
    assert bool((change <= reach).all())


@pytest.mark.parametrize("symmetric", [False, True])
def test_weights_of_a_grid_are_found_again(symmetric: bool) -> None:
    codes = torch.randint(0, 16, (8, 64), generator=torch.Generator().manual_seed(0))
    codes[:, ::32], codes[:, 1::32] = 0, 15
    weight = (codes - 8) * 0.25
    for importance in (None, torch.rand(64)):
        assert torch.equal(
            weights_of(round_rows(weight, Grid(4, 32, symmetric), importance)), weight
        )


def test_groups_of_nothing_stay_nothing() -> None:
    weight = torch.zeros(2, 32)
    for grid in (Grid(4, 32, True), Grid(4, 32, False), Grid(8, 32, False)):
        assert torch.equal(weights_of(round_rows(weight, grid, torch.ones(32))), weight)


def test_importance_makes_the_output_change_less() -> None:
    source = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 128, generator=source)
    weight[:, 5] *= 6  # what a scale has to reach, and hardly counts
    squares = torch.rand(128, generator=source) + 1
    squares[5] = 1e-3

    def loss(importance: torch.Tensor | None) -> float:
        change = weights_of(round_rows(weight, Grid(4, 32, False), importance)) - weight
        return float((change.square() * squares).sum())

    assert loss(squares) < 0.9 * loss(None)
    apart = round_rows(weight, Grid(4, 32, False), squares.expand(64, -1))
    assert torch.equal(apart.integers, round_rows(weight, Grid(4, 32, False), squares).integers)


def _graph(kind: ov.Type, stored: np.ndarray, *, turned: bool) -> ov.Model:
    """A product of an input with a matrix."""
    parameter = ops.parameter([-1, -1], np.float32, name="x")
    matrix = ops.constant(np.ascontiguousarray(stored, np.float32), kind)
    read = ops.convert(matrix, np.float32) if kind != ov.Type.f32 else matrix
    product = ops.matmul(parameter, read, False, not turned, name="product")
    product.output(0).set_names({"y"})
    return ov.Model([product], [parameter])


@pytest.mark.parametrize("kind", [ov.Type.f32, ov.Type.f16, ov.Type.bf16])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("recipe", [Recipe(), Recipe(symmetric=False), Recipe(weights="int8")])
def test_graphs_compute_with_the_rounded_weights(
    kind: ov.Type, turned: bool, recipe: Recipe
) -> None:
    weight = np.random.default_rng(0).integers(-64, 64, (48, 192)) / 32
    model = _graph(kind, weight.T if turned else weight, turned=turned)
    layers = find_layers(model)
    model = compress(model, recipe, layers, storage_of(layers, recipe))
    grid = Grid(8, 192, True) if recipe.weights == "int8" else Grid(4, 64, recipe.symmetric)
    expected = weights_of(round_rows(torch.from_numpy(weight).float(), grid, None)).numpy()
    options = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    run = openvino_core().compile_model(model, "CPU", options)
    found = run(np.eye(192, dtype=np.float32))["y"]
    assert pytest.approx(expected, abs=1e-6) == found.T


def test_mean_squares_are_those_of_the_inputs(tmp_path: Path) -> None:
    graph = trace_llama(tmp_path / "graph", layers=1)
    model = openvino_core().read_model(graph)
    layers = find_layers(model)
    calibration = calibration_in(tmp_path, 2)
    told: list[float] = []
    file = tmp_path / "inputs.npz"
    found = mean_squares(model, layers, calibration.samples, file, told.append)
    assert found.keys() == {layer.name for layer in layers if layer.kind != "embedding"}
    query = found["model.layers.0.self_attn.q_proj"]
    assert query.shape == (1, 128)
    assert query.mean() == pytest.approx(1, rel=0.05)  # behind a norm
    count = len(told)
    again = mean_squares(model, layers, calibration.samples, file, told.append)
    assert (len(told), again.keys()) == (count, found.keys())
    file.write_bytes(file.read_bytes()[:100])  # damaged: measured again
    assert (
        mean_squares(model, layers, calibration.samples, file, told.append).keys() == again.keys()
    )
    assert len(told) > count


def test_scales_are_estimated_without_nncf(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['nncf'] = None; sys.path[:0] = ['tests']\n"
        "from pathlib import Path; from support.traced_graphs import *\n"
        "folder = Path(sys.argv[1]); graph = trace_llama(folder / 'graph', layers=1)\n"
        "recipe = Recipe(methods=('scale-estimation',), symmetric=False)\n"
        "compressed(graph, recipe, calibration_in(folder))\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, cwd=root)


def test_recipes_with_limits_measure_the_inputs_once(tmp_path: Path) -> None:
    graph = trace_llama(tmp_path / "graph", layers=1)
    calibration = calibration_in(tmp_path)
    told: list[str] = []

    def tell(_: float, part: str = "", __: int = 0) -> None:
        told.append(part)

    for recipe in (
        Recipe(methods=("scale-estimation",)),
        Recipe(methods=("scale-estimation",), group_size=32),
    ):
        compressed(graph, recipe, calibration, tell)
    assert told.index("round the weights") > told.index("run the text")
    assert "run the text" not in told[told.index("round the weights") :]
