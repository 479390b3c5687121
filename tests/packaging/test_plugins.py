"""The tutorial's plugins and new ones, installed beside the wheel in a clean environment."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from support.wheels import ROOT, build_wheel, clean_python, run

TUTORIAL = ROOT / "plugins" / "tutorial"
NEEDED = ("jinja2", "numpy", "rich", "tokenizers", "typer", "pytest", "hatchling")
CONTRACTS = {
    "drafter": "nanoaccel_tutorial.drafter:BigramDrafter",
    "eviction_policy": "nanoaccel_tutorial.eviction:Beginnings",
    "logits_processor": "nanoaccel_tutorial.processor:NoRepeat",
}


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, the tutorial's and pytest; no runtime."""
    folder = tmp_path_factory.mktemp("plugins")
    tutorial = build_wheel(TUTORIAL, folder / "dist")
    return clean_python(folder / "env", NEEDED, ("--no-deps", wheel, tutorial))


def test_tutorial_is_found_and_keeps_its_contracts(python: Path, tmp_path: Path) -> None:
    shown = json.loads(run(python, "-m", "nanoaccel", "plugins", "--json", cwd=tmp_path))
    assert [(plugin["name"], plugin["problem"]) for plugin in shown] == [
        ("bigram", None),
        ("beginnings", None),
        ("no_repeat", None),
    ]
    asked = [
        word
        for kind, target in CONTRACTS.items()
        for word in ("--nanoaccel-contract", kind, target)
    ]
    told = run(python, "-m", "pytest", "-q", *asked, cwd=tmp_path)
    assert re.search(r"\d\d passed", told)
    assert "failed" not in told


def test_new_plugin_installs_and_its_test_passes(python: Path, tmp_path: Path) -> None:
    new = ("plugins", "new", "drafter", "my-rule", "--out", tmp_path)
    run(python, "-m", "nanoaccel", *new, cwd=tmp_path)
    package = tmp_path / "nanoaccel-my-rule"
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation")
    pip = (sys.executable, "-m", "pip", "--python", python, "install")
    run(*pip, *quiet, package, cwd=tmp_path)
    assert " passed" in run(python, "-m", "pytest", "-q", cwd=package)
    assert "my-rule" in run(python, "-m", "nanoaccel", "plugins", cwd=tmp_path)


def test_documentation_shows_the_tutorial_as_it_is() -> None:
    page = (ROOT / "docs" / "how-to" / "plugins.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(class .*?)```", page, re.DOTALL)
    sources = [
        path.read_text(encoding="utf-8")
        for path in TUTORIAL.rglob("*.py")
        if "class " in path.read_text()
    ]
    assert len(blocks) == len(sources) == 3
    assert all(any(block in source for source in sources) for block in blocks)
    drafter = next(block for block in blocks if "Drafter" in block)
    assert len(drafter.splitlines()) <= 30
