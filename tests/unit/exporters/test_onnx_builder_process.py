from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.export


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Arguments of the builder, which does not run."""
    process = import_module("nanoaccel.exporters.targets.onnx.builder_process")
    found: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", sys.argv)
    for name in ("supply_missing_classes", "restore_old_fields", "add_experts"):
        monkeypatch.setattr(process, name, lambda: None)
    monkeypatch.setattr(process.runpy, "run_module", lambda *_, **__: found.append(list(sys.argv)))
    return found


def value_of(arguments: list[str], option: str) -> str:
    return arguments[arguments.index(option) + 1]


def test_main_builds_in_f32_without_more_words(started: list[list[str]]) -> None:
    import_module("nanoaccel.exporters.targets.onnx.builder_process").main("in", "out")
    (arguments,) = started
    assert (value_of(arguments, "-i"), value_of(arguments, "-o")) == ("in", "out")
    assert value_of(arguments, "-p") == "fp32"
    assert arguments[-2:] == ["--extra_options", "windowed_kv_cache=false"]


def test_main_passes_precision_and_options_on(started: list[list[str]]) -> None:
    process = import_module("nanoaccel.exporters.targets.onnx.builder_process")
    process.main("in", "out", "int4", "int4_accuracy_level=4")
    (arguments,) = started
    assert value_of(arguments, "-p") == "int4"
    assert arguments[-2:] == ["windowed_kv_cache=false", "int4_accuracy_level=4"]


def test_run_builder_hands_precision_and_options_to_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    builder = import_module("nanoaccel.exporters.targets.onnx.builder")
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        commands.append(command)
        (tmp_path / "model.onnx").touch()
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(builder.subprocess, "run", run)
    builder.run_builder(
        Path("in"), tmp_path, precision="int4", options={"int4_accuracy_level": "4"}
    )
    assert commands[0][-4:] == ["in", str(tmp_path), "int4", "int4_accuracy_level=4"]
