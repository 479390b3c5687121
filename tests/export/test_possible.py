"""What cannot be is refused before any weight is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from nanoaccel.calibration.datasets.options import CalibrationOptions
from nanoaccel.errors import ConfigError, NanoAccelError, SourceError
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.quantize.possible import check_budget
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.source import model_source as sources
from nanoaccel.exporters.source.memory import weight_bytes

pytestmark = pytest.mark.export


@pytest.mark.parametrize(
    ("given", "kind", "told"),
    [
        ({"recipe": Recipe(target_size=1000)}, ConfigError, "is impossible with int4"),
        ({"recipe": Recipe(target_bits=1.5)}, ConfigError, "bits a weight"),
        ({"recipe": Recipe(target_bits=1.5), "search_seconds": 60.0}, ConfigError, "impossible"),
        (
            {"calibration": CalibrationOptions(source="/no/such.txt")},
            SourceError,
            "/no/such.txt does not exist",
        ),
        ({"calibration": CalibrationOptions(length=10**6)}, ConfigError, "length=1000000"),
        ({"draft": "/no/such"}, SourceError, "/no/such does not exist"),
    ],
)
def test_export_refuses_what_cannot_be_before_it_loads_weights(
    given: dict[str, Any],
    kind: type[NanoAccelError],
    told: str,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the weights were loaded")

    monkeypatch.setattr(sources, "load", refuse)
    with pytest.raises(kind, match=told):
        export(tiny_model, tmp_path / "out", **given)
    assert list(tmp_path.iterdir()) == []


def test_check_budget_allows_what_the_smallest_graph_keeps(
    tiny_model: Path, tmp_path: Path
) -> None:
    source = sources.resolve(str(tiny_model))
    config = sources.load_config(source)
    plain = Recipe()
    bundle = export(tiny_model, tmp_path / "out", recipe=plain, runtime="openvino")
    size = bundle.weights_of("openvino").stat().st_size
    loaded = weight_bytes(source, config, plain)
    check_budget(config, Recipe(target_size=size), loaded, searching=False)
    with pytest.raises(ConfigError, match="impossible"):
        check_budget(config, Recipe(target_size=size // 2), loaded, searching=False)
