"""What a compression keeps on disk, so that the next one need not do it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nncf
import pytest

pytest.importorskip("torch")

from support.traced_graphs import (
    calibration_in,
    compressed,
    saved_bytes,
    trace_llama,
)

from nanoaccel.errors import ExportError
from nanoaccel.exporters.quantize.compression.by_nncf import statistics_run
from nanoaccel.exporters.quantize.compression.by_nncf.parts import FinishedParts
from nanoaccel.exporters.quantize.recipe import Override, Recipe
from nanoaccel.openvino_core import openvino_core

pytestmark = pytest.mark.export

GPTQ = Recipe(methods=("awq", "gptq"), embeddings="same")
ESTIMATED = Recipe(methods=("awq", "scale-estimation"))


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trace_llama(tmp_path_factory.mktemp("traced"), layers=2)


class Calls:
    """Counts calls of a function, and raises instead of one."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.count = 0
        self.fails_at = 0
        self.error: type[BaseException] = KeyboardInterrupt

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.count += 1
        if self.count == self.fails_at:
            raise self.error("stopped")
        return self.function(*args, **kwargs)


@pytest.fixture
def compressions(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls(nncf.compress_weights)
    monkeypatch.setattr(nncf, "compress_weights", calls)
    return calls


@pytest.fixture
def collections(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls(statistics_run._collect)
    monkeypatch.setattr(statistics_run, "_collect", calls)
    return calls


@pytest.mark.parametrize("done", [1, 2])
def test_gptq_goes_on_after_the_parts_that_are_done(
    traced: Path, tmp_path: Path, compressions: Calls, done: int
) -> None:
    whole = compressed(traced, GPTQ, calibration_in(tmp_path / "whole"))
    assert compressions.count == 3  # embedding and two blocks
    calibration = calibration_in(tmp_path / "stopped")
    compressions.count, compressions.fails_at = 0, done + 1
    with pytest.raises(KeyboardInterrupt):
        compressed(traced, GPTQ, calibration)
    compressions.count, compressions.fails_at = 0, 0
    resumed = compressed(traced, GPTQ, calibration)
    assert compressions.count == 3 - done
    assert saved_bytes(resumed, tmp_path / "a") == saved_bytes(whole, tmp_path / "a")


def test_gptq_keeps_parts_of_one_recipe_from_another(
    traced: Path, tmp_path: Path, compressions: Calls
) -> None:
    calibration = calibration_in(tmp_path)
    compressions.fails_at = 2
    with pytest.raises(KeyboardInterrupt):
        compressed(traced, GPTQ, calibration)
    compressions.count, compressions.fails_at = 0, 0
    other = Recipe(methods=GPTQ.methods, embeddings="same", symmetric=False)
    compressed(traced, other, calibration)
    assert compressions.count == 3


def test_gptq_leaves_nothing_when_it_is_done(traced: Path, tmp_path: Path) -> None:
    compressed(traced, GPTQ, calibration_in(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_parts_do_not_read_what_was_half_written(traced: Path, tmp_path: Path) -> None:

    model = openvino_core().read_model(traced)
    parts = FinishedParts(tmp_path, GPTQ, {})
    assert (parts.count, parts.latest(model)) == (0, model)
    parts.keep(model)
    (half,) = tmp_path.iterdir()
    (half / "2.partial").mkdir()
    (half / "2.partial" / "graph.xml").write_text("<half")
    again = FinishedParts(tmp_path, GPTQ, {})
    assert again.count == 1
    again.keep(again.latest(model))
    assert [path.name for path in half.iterdir()] == ["2"]
    again.remove()
    assert FinishedParts(tmp_path, GPTQ, {}).count == 0


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(weights="nf4", methods=("scale-estimation",)),
        Recipe(methods=("awq",), overrides=(Override(layers="*.v_proj", weights="int8"),)),
    ],
    ids=lambda recipe: recipe.describe(),
)
def test_recipes_share_what_was_measured(
    traced: Path, tmp_path: Path, collections: Calls, recipe: Recipe
) -> None:
    shared = calibration_in(tmp_path / "shared")
    compressed(traced, ESTIMATED, shared)
    assert collections.count == 1
    second = compressed(traced, recipe, shared)
    assert collections.count == 1
    alone = compressed(traced, recipe, calibration_in(tmp_path / "alone"))
    assert collections.count == 2
    assert saved_bytes(second, tmp_path / "a") == saved_bytes(alone, tmp_path / "a")


def test_more_samples_are_measured_anew(traced: Path, tmp_path: Path, collections: Calls) -> None:
    compressed(traced, ESTIMATED, calibration_in(tmp_path, 2))
    compressed(traced, ESTIMATED, calibration_in(tmp_path, 3))
    assert collections.count == 2


def test_half_of_a_measurement_is_never_read(
    traced: Path, tmp_path: Path, collections: Calls
) -> None:
    calibration = calibration_in(tmp_path)
    whole = saved_bytes(compressed(traced, ESTIMATED, calibration), tmp_path / "saved")
    (folder,) = (path for path in tmp_path.iterdir() if path.name.startswith("statistics-"))
    half = folder.rename(folder.with_name(f"{folder.name}.partial"))
    next(path for path in half.iterdir() if path.suffix != ".json").unlink()
    collections.count = 0
    again = compressed(traced, ESTIMATED, calibration)
    assert collections.count == 1
    assert saved_bytes(again, tmp_path / "saved") == whole
    assert folder.is_dir()
    assert not half.exists()


def test_a_measurement_that_fails_leaves_none_behind(
    traced: Path, tmp_path: Path, collections: Calls
) -> None:
    calibration = calibration_in(tmp_path)
    collections.fails_at, collections.error = 1, RuntimeError
    with pytest.raises(ExportError, match="awq \\+ scale-estimation: stopped"):
        compressed(traced, ESTIMATED, calibration)
    assert not any(path.name.startswith("statistics-") for path in tmp_path.iterdir())
    compressed(traced, ESTIMATED, calibration)


def test_the_graph_does_not_say_where_the_measurement_is(traced: Path, tmp_path: Path) -> None:
    recipe = Recipe(methods=("awq",), embeddings="same", last_layer="same")
    model = compressed(traced, recipe, calibration_in(tmp_path / "kept"))
    description, _ = saved_bytes(model, tmp_path / "saved")
    assert b"statistics_path" in description
    assert str(tmp_path).encode() not in description
