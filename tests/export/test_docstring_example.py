"""The example in the docstring of ``export``."""

from __future__ import annotations

import doctest
import shutil
from pathlib import Path

import pytest

from nanoaccel import export

pytestmark = pytest.mark.export


def test_export_example_shows_what_it_says(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    (example,) = doctest.DocTestFinder(recurse=False).find(export, "export", globs={})
    told: list[str] = []
    results = doctest.DocTestRunner().run(example, out=told.append)
    assert (results.attempted, results.failed) == (3, 0), "".join(told)
