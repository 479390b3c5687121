"""The notebooks run from top to bottom."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.examples import EXAMPLES
from support.notebooks import cells_of, run_notebook

NOTEBOOKS = EXAMPLES / "notebooks"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs_and_as_plain_python(path: Path) -> None:
    for cell in cells_of(path):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
        assert not any(line.startswith(("%", "!")) for line in cell["source"])
        assert not any("asyncio.run" in line for line in cell["source"])  # a loop runs already


@pytest.mark.export
def test_first_steps(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, shown = run_notebook(NOTEBOOKS / "first_steps.ipynb", BUNDLE=str(tiny_bundle))
    assert names["vectors"].shape[0] == 3
    assert len(shown) == 2
    known = [line for line in capsys.readouterr().out.splitlines() if "were known" in line]
    assert known[0].startswith("0 of ")
    assert not known[1].startswith("0 of ")


@pytest.mark.export
def test_what_compression_costs(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = NOTEBOOKS / "what_compression_costs.ipynb"
    names, shown = run_notebook(path, MODEL=str(tiny_model), TOKENS=512)
    assert [row[0] for row in names["rows"]] == list(names["RECIPES"])
    assert [table.count("<tr>") for table in shown] == [4, 4]
