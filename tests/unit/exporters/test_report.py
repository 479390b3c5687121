from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from support import trials

from nanoaccel.exporters.quantize.compression import WeightStatistics
from nanoaccel.exporters.quantize.search import Tried
from nanoaccel.exporters.report.picture import draw
from nanoaccel.exporters.report.text import Report, ReportedGraph


def report(tried: tuple[Tried, ...] = ()) -> Report:
    return Report(
        model="someone/model",
        recipe="int4 symmetric, groups of 64",
        note="",
        context="4,096 tokens",
        self_checks=(),
        architecture="llama",
        parameters=1_000_000,
        graphs=(
            ReportedGraph(
                runtime="openvino", bytes=600_000, fidelity=trials.fidelity(0.1, error=0.002)
            ),
        ),
        weights=WeightStatistics({"i4": 900_000, "i8": 100_000}, 64),
        storage={"lm_head": "int8", "a": "int4", "b": "int4"},
        checkpoint="",
        kept=0,
        fused_projections=2,
        calibration="some text",
        plugins=["compression method 'mine' of my-package 1.0"],
        tried=tried,
        left_out=("gptq",) if tried else (),
        opens_in_genai=True,
        draft={"kind": "none", "from": "", "reason": "none was wanted"},
        seconds={"load": 1.0},
        peak_memory=10**9,
        expected_memory=2 * 10**9,
    )


def tries() -> tuple[Tried, ...]:
    return tuple(
        Tried(
            name=name,
            size=size,
            fidelity=trials.fidelity(kl),
            seconds=10.0,
            tokens_per_second=50.0,
        )
        for name, size, kl in (("int4 symmetric, groups of 64", 600_000, 0.1), ("x <y>", 9e5, 0.01))
    )


def test_report_names_the_text_and_the_errors() -> None:
    page = report().to_markdown()
    assert "0.1000 ± 0.0020 nats a token" in page
    assert "1,000 tokens of a text" in page
    assert "| lm_head | int8 |" in page
    assert "Recipes that were tried" not in page


def test_report_shows_what_was_tried(tmp_path: Path) -> None:
    report(tries()).write(tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "| 2 | x <y> | 0.9 | 0.0100 ± 0.0000 |" in page
    assert "No time was left for: gptq." in page
    assert ElementTree.parse(tmp_path / "recipes.svg").getroot().tag.endswith("svg")
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["tried"][1]["fidelity"]["kl"] == 0.01
    assert content["bits_per_weight"] == 4.8


def test_picture_places_larger_models_to_the_right_and_closer_ones_below() -> None:
    root = ElementTree.fromstring(draw([("a", 80.0, 0.3), ("b", 100.0, 0.1)], "b"))
    first, second = root.findall("{http://www.w3.org/2000/svg}circle")
    assert float(first.attrib["cx"]) < float(second.attrib["cx"])
    assert float(first.attrib["cy"]) < float(second.attrib["cy"])
    assert first.attrib["fill"] != second.attrib["fill"]


def test_picture_of_one_point_is_drawn() -> None:
    assert "circle" in draw([("only", 80.0, 0.3)], "only")
