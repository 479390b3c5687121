from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.harness.results import Results, Row
from benchmarks.peers import pictures

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def results() -> Results:
    return Results(
        machine={"allowed": 2, "cpu": "A <fast> CPU", "instructions": ["avx2"], "system": "Linux"},
        versions={"openvino": "1"},
        model={"name": "sample"},
        engines={},
        rows=[
            Row("decode 1", "tokens/s", True, {"nanoaccel-auto": [9, 10, 11], "b": [5] * 3}),
            Row("cold start", "seconds", False, {"nanoaccel-auto": [1.0], "b": [0.5]}),
        ],
    )


def bars(drawing: ElementTree.Element) -> list[ElementTree.Element]:
    return [one for one in drawing.iter(f"{SVG}rect") if one.get("class") != "ground"]


def test_draw_makes_bars_as_long_as_the_medians(results: Results) -> None:
    drawing = ElementTree.fromstring(pictures.draw(results, results.rows[:1]))
    ours, theirs = bars(drawing)
    assert (ours.get("class"), theirs.get("class")) == ("ours", "theirs")
    assert float(ours.get("width", 0)) == pytest.approx(2 * float(theirs.get("width", 0)), abs=0.2)


def test_draw_shows_the_spread_and_fits_its_box(results: Results) -> None:
    drawing = ElementTree.fromstring(pictures.draw(results, results.rows))
    _, _, width, height = (float(x) for x in drawing.get("viewBox", "").split())
    first = drawing.find(f"{SVG}line")
    assert first is not None
    assert float(first.get("x1", 0)) < float(first.get("x2", 0))
    for one in drawing.iter(f"{SVG}text"):
        assert 0 <= float(one.get("x", -1)) <= width
        assert 0 <= float(one.get("y", -1)) <= height


def test_draw_puts_the_best_first(results: Results) -> None:
    drawing = ElementTree.fromstring(pictures.draw(results, results.rows))
    assert [one.get("class") for one in bars(drawing)] == ["ours", "theirs", "theirs", "ours"]


def test_draw_has_colors_for_the_dark(results: Results) -> None:
    assert "prefers-color-scheme: dark" in pictures.draw(results, results.rows)


def test_main_draws_a_saved_file_and_names_an_unknown_row(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.save(tmp_path / "results.json")
    arguments = [str(tmp_path / "results.json"), str(tmp_path / "out.svg")]
    assert pictures.main([*arguments, "--rows", "decode 1"]) == 0
    ElementTree.parse(tmp_path / "out.svg")
    assert pictures.main([*arguments, "--rows", "decode 9"]) == 2
    assert "no row 'decode 9'; there are decode 1, cold start" in capsys.readouterr().err
