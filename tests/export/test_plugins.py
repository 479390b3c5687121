"""Plugins of exports: used by name, recorded in the bundle, and named when they fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.plugins import Install, installing

from nanoaccel.bundle import Bundle
from nanoaccel.calibration.datasets import CalibrationOptions
from nanoaccel.errors import ConfigError, PluginError, SourceError
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.source.model_source import resolve
from nanoaccel.exporters.targets.table import target_names
from nanoaccel.testing.tiny_models import write_model

pytestmark = pytest.mark.export
SOURCE = """
from pathlib import Path
from nanoaccel.calibration.datasets import Document, TextSource
from nanoaccel.exporters.quantize.compression.integers.grid import round_rows
from nanoaccel.exporters.quantize.methods import Rounding
from nanoaccel.exporters.source.places import FoundModel
from nanoaccel.exporters.targets.onnx.target import OnnxTarget
from nanoaccel.registry import BackendFacts
from nanoaccel.runtime.backends.onnxruntime import load

class Method(Rounding):
    needs_text = True
    def round_rows(self, weight, grid, importance):
        return round_rows(weight, grid, importance)

class Broken(Method):
    def round_rows(self, weight, grid, importance):
        raise KeyError("third")

def texts(reference, column):
    return TextSource("counted", iter([Document("one two three " * 2000)]))

def breaks(reference, column):
    def documents():
        yield Document("one two three")
        raise KeyError("second")
    return TextSource("broken", documents())

def model(reference):
    return FoundModel(path=Path(reference), revision="r1")

def absent(reference):
    return FoundModel(path=Path(reference) / "absent")

FACTS = BackendFacts(packages=("onnxruntime",), graph="mine/model.onnx", own_operators=True)

class Target(OnnxTarget):
    name = title = "mine"

class OtherName(OnnxTarget):
    pass
"""
GROUPS = {
    "compression_methods.v1": {"mine": "Method", "broken": "Broken"},
    "calibration_sources.v1": {"mine": "texts", "broken": "breaks"},
    "model_sources.v1": {"mine": "model", "broken": "absent"},
    "export_targets.v1": {"mine": "Target", "broken": "OtherName"},
    "backends.v1": {"mine": "load"},
    "backend_facts.v1": {"mine": "FACTS"},
}


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    with installing(tmp_path_factory.mktemp("packages")) as found:
        found("some-parts", GROUPS, SOURCE)
        yield found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny", num_hidden_layers=1)


@pytest.mark.usefixtures("install")
def test_names_of_plugins_work_in_an_export_and_stand_in_the_bundle(
    model: Path, tmp_path: Path
) -> None:
    bundle = export(
        f"mine:{model}",
        tmp_path / "bundle",
        recipe=Recipe(group_size=32, methods=("mine",)),
        calibration=CalibrationOptions(source="mine:all", samples=4, length=32, held_out=2),
        judge_tokens=64,
        runtime="mine",
    )
    assert bundle.runtimes == ("mine",)
    manifest: Any = Bundle.open(bundle.folder).manifest
    assert manifest.tools["some-parts"] == "1.0"
    assert manifest.recipe["methods"] == ["mine"]
    assert (manifest.source["id"], manifest.source["revision"]) == (f"mine:{model}", "r1")
    report = json.loads((bundle.folder / "report.json").read_text())
    assert report["plugins"] == [
        f"{noun} 'mine' of some-parts 1.0"
        for noun in ("compression method", "export target", "calibration source", "model source")
    ]
    assert report["calibration"].startswith("counted (mine of some-parts 1.0)")


@pytest.mark.usefixtures("install")
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"recipe": Recipe(group_size=32), "model": "broken:{}"}, "model source 'broken' failed"),
        ({"method": "broken"}, "compression method 'broken' failed with KeyError: 'third'"),
        ({"method": "mine", "text": "broken"}, "calibration source 'broken' failed with KeyError"),
    ],
)
def test_plugin_that_fails_is_named_and_no_bundle_is_written(
    options: dict[str, Any], told: str, model: Path, tmp_path: Path
) -> None:
    methods = (options["method"],) if "method" in options else ()
    with pytest.raises(PluginError, match=told):
        export(
            options.get("model", "{}").format(model),
            tmp_path / "bundle",
            recipe=Recipe(group_size=32, methods=methods),
            calibration=CalibrationOptions(
                source=options.get("text", "docs"), samples=4, length=32, held_out=2
            ),
            judge_tokens=64,
            runtime="openvino",
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("install")
def test_names_that_nobody_has_are_refused_with_the_closest() -> None:
    with pytest.raises(ConfigError, match=r"'mime' is unknown\. Did you mean 'mine'"):
        Recipe(methods=("mime",))
    with pytest.raises(ConfigError, match=r"'mime' is unknown\. Did you mean 'mine'"):
        target_names("mime")
    with pytest.raises(SourceError, match=r"mime:x does not exist. .*, mine:\.\.\."):
        resolve("mime:x")
    with pytest.raises(PluginError, match="'broken' failed with ValueError: it calls itself"):
        target_names("broken")


def test_methods_that_do_not_go_together_are_refused(install: Install) -> None:  # noqa: ARG001
    with pytest.raises(ConfigError, match="methods 'mine' and 'awq' do not go together"):
        Recipe(methods=("mine", "awq"))
    with pytest.raises(ConfigError, match="does not go with weights='nf4'"):
        Recipe(weights="nf4", methods=("mine",))


def test_disabled_method_is_refused_by_name(
    install: Install,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NANOACCEL_DISABLE", "compression_methods/mine")
    with pytest.raises(PluginError, match=r"'mine' of some-parts 1\.0 is not used: disabled"):
        Recipe(methods=("mine",))
