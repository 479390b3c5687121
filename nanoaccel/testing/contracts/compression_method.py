"""What every compression method promises: it stores what was asked for, close to the original."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from nanoaccel.exporters.quantize.methods import CompressionMethodFactory, Rounding
from nanoaccel.registry import COMPRESSION_METHODS
from nanoaccel.registry.extension_point import check

if TYPE_CHECKING:
    import openvino as ov
    from numpy.typing import NDArray

    from nanoaccel.exporters.quantize.recipe import Recipe

CONTRACT = "compression_method"
_LOOSE = 1.5  # of the error of rounding to nearest
_GRIDS = [(group, symmetric) for group in (16, 32, 64) for symmetric in (True, False)]


class TestCompressionMethod:
    """The suite; ``subject`` makes the method."""

    @pytest.fixture(autouse=True)
    def registered(
        self, subject: CompressionMethodFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make, plugged, name = COMPRESSION_METHODS.make, COMPRESSION_METHODS.plugins_named, CONTRACT
        if subject in _built_in().values():
            return
        monkeypatch.setattr(
            COMPRESSION_METHODS, "make", lambda asked: subject() if asked == name else make(asked)
        )
        monkeypatch.setattr(
            COMPRESSION_METHODS,
            "plugins_named",
            lambda asked: [asked] if asked == name else plugged(asked),
        )

    def test_it_has_what_the_interface_says(self, subject: CompressionMethodFactory) -> None:
        from nanoaccel.exporters.quantize.weight_types import FLOATS, TRAITS

        assert COMPRESSION_METHODS.makes is not None
        check(subject, COMPRESSION_METHODS.interface, ())
        method = subject()
        check(method, COMPRESSION_METHODS.makes, ())
        assert method.weights
        assert {*method.weights} <= {*TRAITS} - {*FLOATS}
        assert isinstance(method.needs_text, bool)
        assert {*method.goes_with} <= {*COMPRESSION_METHODS.names()}

    def test_rows_are_rounded_each_by_itself(self, subject: CompressionMethodFactory) -> None:
        for group, symmetric in _GRIDS:
            self._check_rows(subject, group, symmetric)

    def _check_rows(self, subject: CompressionMethodFactory, group: int, symmetric: bool) -> None:
        import torch

        from nanoaccel.exporters.quantize.compression.integers.checked import check_codes
        from nanoaccel.exporters.quantize.compression.integers.grid import Grid, round_rows

        method = rounding(subject)
        grid = Grid(4, group, symmetric)
        torch.manual_seed(group)
        weight = torch.randn(6, 128) * torch.logspace(-2, 1, 6)[:, None]
        weight[3] = 0
        shares: list[Any] = [None, torch.rand(128) + 0.1, torch.rand(6, 128) + 0.1]
        for importance in shares:
            kept = weight.clone()
            codes = method.round_rows(weight, grid, importance)
            check_codes(codes, 6, 128, grid)
            assert torch.equal(weight, kept), "it edits the weights that it was given"
            again = method.round_rows(weight, grid, importance)
            assert torch.equal(again.integers, codes.integers), "the same rows become others"
            for row in range(6):
                own = importance is not None and importance.ndim == 2
                share = importance[row : row + 1] if own else importance
                one = method.round_rows(weight[row : row + 1], grid, share)
                assert torch.equal(one.integers[0], codes.integers[row]), "rows reach each other"
                assert torch.equal(one.scales[0], codes.scales[row])
            usual = loss(round_rows(weight, grid, importance), weight, importance)
            told = "rounding to nearest is better"
            assert loss(codes, weight, importance) <= _LOOSE * usual, told

    def test_graph_is_stored_as_asked_and_computes_about_the_same(
        self, subject: CompressionMethodFactory, tmp_path: Path
    ) -> None:
        from nanoaccel.exporters.quantize.compression import weight_statistics
        from nanoaccel.exporters.quantize.recipe import Recipe

        weights = subject().weights[0]
        plain = Recipe(weights=weights)  # type: ignore[arg-type]
        named = Recipe(weights=weights, methods=(name_of(subject),))  # type: ignore[arg-type]
        with small_graph() as graph:
            expected = answers(graph)
        graphs = [compressed(named, tmp_path / f"{weights}-{turn}") for turn in range(2)]
        errors = [np.square(answers(one) - expected).mean() for one in graphs]
        usual = np.square(answers(compressed(plain, tmp_path / weights)) - expected).mean()
        assert errors[0] <= 2 * usual, weights
        assert errors[0] == errors[1], "the same graph becomes another one"
        stored = [sum(weight_statistics(one).parameters.values()) for one in graphs]
        assert stored[0] >= 64 * 64


def _built_in() -> dict[str, CompressionMethodFactory]:
    point = COMPRESSION_METHODS
    return {name: point.resolve(name) for name in point.names() if not point.is_plugin(name)}


def name_of(subject: CompressionMethodFactory) -> str:
    """The name that a recipe has for a method."""
    return next((name for name, one in _built_in().items() if one is subject), CONTRACT)


def rounding(subject: CompressionMethodFactory) -> Rounding:
    """The method, where it rounds rows; others are tested over a graph alone."""
    method = subject()
    if not isinstance(method, Rounding):
        pytest.skip("it does not round rows")
    return method


def loss(codes: Any, weight: Any, importance: Any) -> float:
    """What rounding changes, squared and weighted."""
    back = (codes.integers.float() - codes.zeros.float()) * codes.scales.float()
    change = (back.reshape(weight.shape) - weight).square()
    return float((change if importance is None else change * importance).sum())


@contextmanager
def small_graph() -> Iterator[ov.Model]:
    """An embedding, two projections and a last one; 64 numbers wide."""
    import openvino as ov
    from openvino import opset13 as ops

    random = np.random.default_rng(0)

    def matrix(name: str, value: Any, rows: int, columns: int) -> Any:
        numbers = random.normal(0, 0.3, (rows, columns)).astype(np.float32)
        product = ops.matmul(value, ops.constant(numbers, name=f"{name}.weight"), False, True)
        product.set_friendly_name(f"__module.{name}/aten::linear/MatMul")
        return product

    tokens = ops.parameter([1, -1], np.int64, name="input_ids")
    tokens.output(0).set_names({"input_ids"})
    table = ops.constant(random.normal(0, 1, (96, 64)).astype(np.float32), name="table")
    value = ops.gather(table, tokens, ops.constant(0))
    value.set_friendly_name("__module.embed/aten::embedding/Gather")
    value = ops.tanh(matrix("layers.0.up", value, 128, 64), name="first")
    value = ops.tanh(matrix("layers.0.down", value, 64, 128), name="second")
    last = ops.result(matrix("head", value, 96, 64))
    last.output(0).set_names({"logits"})
    yield ov.Model([last], [tokens], "small")


def answers(graph: ov.Model) -> NDArray[np.float64]:
    """The logits of a graph."""
    from nanoaccel.openvino_core import openvino_core

    tokens = np.arange(96, dtype=np.int64)[None]
    compiled = openvino_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled(tokens)[0], np.float64)


def compressed(recipe: Recipe, folder: Path) -> ov.Model:
    """The small graph, compressed."""
    from nanoaccel.exporters.quantize.compression import (
        Calibration,
        compress,
        find_layers,
        storage_of,
    )

    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(1)
    samples = [random.integers(0, 96, 32) for _ in range(4)]
    with small_graph() as graph:
        layers = find_layers(graph)
        storage = storage_of(layers, recipe)
        return compress(graph, recipe, layers, storage, Calibration(samples, folder))
