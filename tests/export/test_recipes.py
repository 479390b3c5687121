"""Exports by recipe, limit and search, on tiny models."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.quantized_checkpoints import write_awq, write_gptq

from nanoaccel.bundle import Bundle
from nanoaccel.calibration.datasets import CalibrationOptions
from nanoaccel.errors import ConfigError, ExportError, SourceError
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.progress import StageEvent
from nanoaccel.exporters.quantize import search
from nanoaccel.exporters.quantize.recipe import PRESETS, Override, Recipe
from nanoaccel.exporters.source import memory
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.testing import tiny_models

pytestmark = pytest.mark.export

TEXT = CalibrationOptions(samples=8, length=64, held_out=8)
TUNED = Recipe(group_size=32, methods=("awq", "scale-estimation"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What an export remembers is forgotten with the test."""
    monkeypatch.setenv("NANOACCEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def weights(bundle: Bundle) -> tuple[int, str]:
    """Size and checksum of the weights file."""
    assert bundle.manifest is not None
    (entry,) = [e for e in bundle.manifest.files if e.path == "openvino/openvino_model.bin"]
    return entry.size, entry.sha256


def report(bundle: Bundle) -> dict[str, object]:
    content: dict[str, object] = json.loads((bundle.folder / "report.json").read_text())
    return content


def test_calibrated_export_is_closer_than_rounding(tiny_model: Path, tmp_path: Path) -> None:
    events: list[StageEvent] = []
    rounded = export(tiny_model, tmp_path / "a", recipe=Recipe(group_size=32), runtime="openvino")
    tuned = export(
        tiny_model,
        tmp_path / "b",
        recipe=TUNED,
        calibration=TEXT,
        listener=events.append,
        runtime="openvino",
    )
    assert rounded.manifest is not None
    assert tuned.manifest is not None
    assert tuned.manifest.validation["kl"] < rounded.manifest.validation["kl"]
    assert str(report(tuned)["calibration"]).startswith("Python's language reference")
    assert {"statistics collection", "applying scale estimation"} <= {e.part for e in events}


def test_export_twice_gives_the_same_bytes(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = export(tiny_model, tmp_path / "a", recipe=TUNED, calibration=TEXT, runtime="openvino")
    monkeypatch.setenv("NANOACCEL_CACHE", str(tmp_path / "other cache"))
    second = export(tiny_model, tmp_path / "b", recipe=TUNED, calibration=TEXT, runtime="openvino")
    assert weights(first) == weights(second)


def test_export_calibrates_with_what_the_model_writes(tiny_model: Path, tmp_path: Path) -> None:
    text = replace(TEXT, source="self", seed=3)
    bundle = export(
        tiny_model, tmp_path / "out", recipe=TUNED, calibration=text, runtime="openvino"
    )
    found = report(bundle)
    assert found["calibration"] == "the model's own text (seed 3)"
    assert "Python's language reference" in str(found["fidelity"])


def test_export_keeps_a_budget_and_spends_it(tiny_model: Path, tmp_path: Path) -> None:
    recipe = Recipe(group_size=32)
    least, _ = weights(export(tiny_model, tmp_path / "small", recipe=recipe, runtime="openvino"))
    size = int(least * 1.15)
    mixed = export(
        tiny_model, tmp_path / "mixed", recipe=replace(recipe, target_size=size), runtime="openvino"
    )
    assert 0.95 * size < weights(mixed)[0] <= size
    assert {"int4", "int8"} == set(report(mixed)["storage"].values())  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"is impossible with int4\. The smallest is"):
        export(
            tiny_model,
            tmp_path / "out",
            recipe=replace(recipe, target_size=least // 2),
            runtime="openvino",
        )


def test_export_under_a_limit_is_confirmed_by_the_judge(tiny_model: Path, tmp_path: Path) -> None:
    loose = export(tiny_model, tmp_path / "a", recipe=Recipe(group_size=32), runtime="openvino")
    assert loose.manifest is not None
    limit = loose.manifest.validation["kl"] / 2
    bundle = export(
        tiny_model,
        tmp_path / "b",
        recipe=Recipe(group_size=32, max_kl=limit),
        judge_tokens=2048,
        runtime="openvino",
    )
    assert bundle.manifest is not None
    assert bundle.manifest.validation["kl"] < limit
    assert weights(bundle)[0] > weights(loose)[0]


def test_export_by_search_reports_what_was_tried(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = [PRESETS["fast"], PRESETS["balanced"], replace(PRESETS["fast"], weights="nf4")]
    monkeypatch.setattr(search, "candidates", lambda *_: quick)
    bundle = export(
        tiny_model,
        tmp_path / "out",
        recipe=Recipe(target_bits=9),
        calibration=TEXT,
        search_seconds=300,
        judge_tokens=512,
        runtime="openvino",
    )
    tried = report(bundle)["tried"]
    assert isinstance(tried, list)
    assert len(tried) == 3
    assert all(line["tokens_per_second"] > 0 for line in tried)
    best = min(tried, key=lambda line: line["fidelity"]["kl"])
    assert report(bundle)["recipe"] == best["name"]
    assert "recipes.svg" in (bundle.folder / "report.md").read_text()
    bundle.verify()


def test_export_by_overrides_stores_those_layers_otherwise(
    tiny_model: Path, tmp_path: Path
) -> None:
    recipe = Recipe(
        group_size=32, overrides=(Override(layers="*.1.mlp.down_proj", weights="float"),)
    )
    storage = report(export(tiny_model, tmp_path / "out", recipe=recipe, runtime="openvino"))[
        "storage"
    ]
    assert isinstance(storage, dict)
    assert [name for name, kind in storage.items() if kind == "float"] == [
        "model.layers.1.mlp.down_proj"
    ]


def test_export_refuses_a_pattern_that_matches_nothing(tiny_model: Path, tmp_path: Path) -> None:
    recipe = Recipe(overrides=(Override(layers="model.layers.0.mlp.dawn_proj", weights="int8"),))
    with pytest.raises(ConfigError, match=r"closest is 'model\.layers\.0\.mlp\.down_proj'"):
        export(tiny_model, tmp_path / "out", recipe=recipe, runtime="openvino")


@pytest.mark.parametrize("write", [write_gptq, write_awq])
def test_export_keeps_the_integers_of_a_checkpoint(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    source = tmp_path / "model"
    write(source)
    tiny_models.write_tokenizer(source)
    bundle = export(source, tmp_path / "out", runtime="openvino")
    found = report(bundle)
    assert found["kept"] == 21
    assert "4-bit" in str(found["checkpoint"])
    assert bundle.manifest is not None
    assert bundle.manifest.validation["kl"] < 0.05
    with LLM(bundle.folder) as llm:
        params = SamplingParams(max_tokens=4, ignore_eos=True)
        assert llm.generate("The tide", params).finish_reason == "length"


def test_export_that_cannot_fit_is_refused_before_it_starts(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "expected_memory", lambda *_, **__: 10**15)
    with pytest.raises(ExportError, match=r"needs about 1000000\.0 GB of memory"):
        export(tiny_model, tmp_path / "out", runtime="openvino")


def test_export_refuses_samples_longer_than_the_context(tiny_model: Path, tmp_path: Path) -> None:
    text = replace(TEXT, length=5000)
    with pytest.raises(ConfigError, match="length=5000 is longer than the model's context, 4096"):
        export(tiny_model, tmp_path / "out", recipe=TUNED, calibration=text, runtime="openvino")


def test_export_refuses_too_little_text(tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "short.txt"
    file.write_text("Only this.")
    with pytest.raises(SourceError, match=r"short\.txt has"):
        export(
            tiny_model,
            tmp_path / "out",
            recipe=TUNED,
            calibration=CalibrationOptions(source=str(file)),
            runtime="openvino",
        )
