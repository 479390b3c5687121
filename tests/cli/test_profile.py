from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.cli.ui.profile.pictures import bars, columns, roofline
from nanoaccel.cli.ui.profile.tables import short_name
from nanoaccel.runtime.tools.profiling import MachineSpeed, run

SMALL = ("--prompt-tokens", 20, "--tokens", 6)


@pytest.fixture(autouse=True)
def quick_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is not measured again in each test."""
    monkeypatch.setattr(run, "measure_machine", lambda *_: MachineSpeed(1e10, 1e11, 1))


def test_profile_prints_tables_and_a_verdict(letters: Path, run_cli: Any) -> None:
    ended = run_cli("profile", letters, *SMALL)
    assert ended.code == 0, ended.err
    for title in ("Phases of the engine's steps", "Cold start", "Memory", "Machine", "Verdict"):
        assert title in ended.out
    for phase in ("schedule", "draft", "forward", "verify", "sample", "detokenize", "other"):
        assert f"\n{phase} " in ended.out
    assert "decode reads" in ended.out
    assert "Operators" not in ended.out  # the fake backend tells none
    assert "run a prompt" in ended.err


def test_profile_json_adds_up(letters: Path, run_cli: Any) -> None:
    content = json.loads(run_cli("profile", letters, *SMALL, "--json").out)
    phases = content["phases"]
    both = sum(phases["prompt"].values()) + sum(phases["decode"].values())
    assert sum(phases["all"].values()) == pytest.approx(both)
    assert both + content["unexplained"] == pytest.approx(content["wall"])
    assert content["steps"] == {"prompt": 1, "decode": 5}
    assert content["operators"] == {"prompt": None, "decode": None}
    assert content["verdict"]["findings"]


def test_profile_writes_a_trace_and_a_page(letters: Path, run_cli: Any, tmp_path: Path) -> None:
    trace, page = tmp_path / "out" / "trace.json", tmp_path / "page.html"
    ended = run_cli("profile", letters, *SMALL, "--trace", trace, "--html", page)
    assert ended.code == 0, ended.err
    assert json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.count("<svg") == text.count("</svg>") >= 3
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert [file.name for file in trace.parent.iterdir()] == ["trace.json"]


def test_profile_of_a_tiny_bundle_shows_operators(
    tiny_bundle: Path, run_cli: Any, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    ended = run_cli("profile", tiny_bundle, *SMALL, "--html", page)
    assert ended.code == 0, ended.err
    assert "Operators, pass over 1 token" in ended.out
    assert "between operators" in ended.out
    assert "Roofline" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tokens", "1"], "tokens=1"),
        (["--prompt-tokens", "0"], "prompt_tokens=0"),
        (["--prompt-tokens", "500"], "the prompt has 500 tokens"),
        (["--prompt-tokens", "100", "--tokens", "60"], "do not fit the context of 128"),
        (["--speculation", "magic"], "speculation='magic'"),
    ],
)
def test_profile_refuses(arguments: list[str], told: str, letters: Path, run_cli: Any) -> None:
    ended = run_cli("profile", letters, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err.splitlines()[-1]


def test_profile_interrupted_leaves_nothing(
    letters: Path, run_cli: Any, alphabet: Any, tmp_path: Path
) -> None:
    alphabet.on_length[24] = lambda: os.kill(os.getpid(), signal.SIGINT)
    trace, page = tmp_path / "trace.json", tmp_path / "page.html"
    before = sorted(tmp_path.iterdir())
    ended = run_cli("profile", letters, *SMALL, "--trace", trace, "--html", page)
    assert (ended.code, ended.out) == (130, "")
    assert sorted(tmp_path.iterdir()) == before


def test_pictures_survive_nothing_and_odd_names() -> None:
    assert "<svg" in bars([])
    assert "<svg" in columns([], "ms")
    assert "&lt;b&gt;" in bars([("<b>", 0.0, "0 ms")])
    picture = roofline(1e10, 1e11, [("decode", 3.0, 2e10), ("prefill", 400.0, 2e11)])
    assert picture.count("<circle") == 2
    assert "nan" not in picture


def test_short_name_keeps_layer_and_part() -> None:
    long = "__module.model.layers.12.mlp.gate_proj/aten::linear/MatMul"
    assert short_name(long) == "layers.12.mlp.gate_proj"
    assert short_name(f"{long}+{long.replace('gate', 'up')}") == "layers.12.mlp.gate_proj+up_proj"
    assert short_name("/model/layers.1/attn/qkv_proj/MatMulNBits") == (
        "layers.1/attn/qkv_proj/MatMulNBits"
    )
