from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from typing import Any

import pytest

import nanoaccel

HEAVY = ("torch", "transformers", "openvino", "onnxruntime", "numpy", "tokenizers", "jinja2")
REPORT = f"import sys; print([name for name in {HEAVY} if name in sys.modules])"


def _imports_of(code: str, processes: Any) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{REPORT}"],
        capture_output=True,
        text=True,
        env=processes.environment,
        check=True,
    )
    return done.stdout.splitlines()[-1]


def test_import_nanoaccel_imports_nothing_heavy(processes: Any) -> None:
    assert _imports_of("import nanoaccel", processes) == "[]"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["generate", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str], processes: Any) -> None:
    code = f"from nanoaccel.cli.main import main; assert main({arguments}) == 0"
    assert _imports_of(code, processes) == "[]"


def test_import_of_bundle_and_errors_imports_nothing_heavy(processes: Any) -> None:
    assert _imports_of("from nanoaccel import Bundle, NanoAccelError, Recipe", processes) == "[]"


def test_public_names_are_all_there() -> None:
    for name in nanoaccel.__all__:
        assert name in dir(nanoaccel)
        assert getattr(nanoaccel, name) is getattr(nanoaccel, name)


def test_public_names_are_found_once() -> None:
    from nanoaccel.runtime.llm import LLM

    assert nanoaccel.LLM is LLM
    assert "LLM" in vars(nanoaccel)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = nanoaccel.nothing


def test_version_of_a_tree_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.delitem(vars(nanoaccel), "__version__", raising=False)
    try:
        assert nanoaccel.__version__ == "unknown"
    finally:
        del nanoaccel.__version__
