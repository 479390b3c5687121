from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.studies import recipes


@pytest.mark.export
def test_recipes_compares_bundles_plain_and_with_their_defaults(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["recipes", str(tiny_bundle), str(tiny_bundle)]
    command += ["--rounds", "1", "--tokens", "4", "--prompts", "1", "--defaults"]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setattr(recipes, "PROMPT", [1, 2, 3])
    recipes.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].endswith("| decode | decode, defaults |")
    assert lines[4].endswith("| 1.00x | 1.00x |")
    assert len(lines) == 6
