"""``nanoaccel recover`` and ``export --recover`` pass on what was asked, and tell what was won."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from nanoaccel.bundle import Bundle
from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.exporters import pipeline
from nanoaccel.finetune.recovery import run as running
from nanoaccel.finetune.recovery.options import RecoveryOptions, teaching_options
from nanoaccel.finetune.recovery.publish import Learned
from nanoaccel.finetune.recovery.run import Recovered

pytestmark = pytest.mark.export

BEFORE = Fidelity(
    text="a text",
    tokens=4096,
    kl=0.142,
    kl_error=0.001,
    kl_median=0.1,
    kl_99=0.5,
    top1_agreement=0.81,
    top1_error=0.01,
    perplexity=14.0,
    perplexity_error=0.5,
    reference_perplexity=13.0,
    log_ratio=0.07,
    log_ratio_error=0.01,
    probability_change=-0.01,
    probability_change_error=0.001,
    probability_change_rms=0.05,
)


@pytest.fixture
def asked(paper_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Recoveries that were asked for; they are not done."""
    seen: list[dict[str, Any]] = []

    def recover(bundle: Path, out: Path | None = None, **more: Any) -> Recovered:
        more.pop("listener")
        seen.append({"bundle": bundle, "out": out, **more})
        if out is not None and out.name == "stopped":
            raise KeyboardInterrupt
        learned = Learned(
            matrices={},
            tokens=270_000,
            numbers=10,
            seconds=840.0,
            divergence=(0.1,),
            stopped=False,
        )
        after = replace(BEFORE, kl=0.08, top1_agreement=0.86)
        report = json.dumps({"recovery": {"tokens": 270_000}})
        (paper_bundle / "report.json").write_text(report)
        return Recovered(
            bundle=Bundle.open(paper_bundle),
            before=BEFORE,
            after=after,
            learned=learned,
            text="some text",
            expected_memory=10,
        )

    monkeypatch.setattr(running, "recover", recover)
    return seen


def test_recover_passes_options_on(asked: Any, tmp_path: Path, run_cli: Any) -> None:
    given = ("--minutes", 3, "--text", "self", "--samples", 8, "--seed", 5, "--judge-tokens", 600)
    ended = run_cli("recover", tmp_path, tmp_path / "out", *given, "--original", "m", "--overwrite")
    assert ended.code == 0
    text = teaching_options(source="self", samples=8, seed=5)
    options = RecoveryOptions(minutes=3, text=text, judge_tokens=600, original="m")
    out = tmp_path / "out"
    assert asked == [{"bundle": tmp_path, "out": out, "options": options, "overwrite": True}]
    assert text.length == 512


def test_recover_tells_what_was_won(asked: Any, tmp_path: Path, run_cli: Any) -> None:
    told = run_cli("recover", tmp_path).out
    assert asked[0]["out"] is None
    for words in ("0.142 before, 0.08", "81.0", "86.0", "270,000 tokens of some text", "840 s"):
        assert words in told
    found = json.loads(run_cli("recover", tmp_path, "--json").out)
    assert found["tokens"] == 270_000


def test_a_recovery_that_is_stopped_says_what_became_of_the_bundle(
    asked: Any, tmp_path: Path, run_cli: Any
) -> None:
    ended = run_cli("recover", tmp_path, tmp_path / "stopped")
    assert len(asked) == 1
    assert ended.code == 130
    assert "nothing was changed" in ended.err


@pytest.mark.parametrize("flags", [("--minutes", "0"), ("--judge-tokens", "5")])
def test_options_out_of_range_are_refused(flags: Any, tmp_path: Path, run_cli: Any) -> None:
    ended = run_cli("recover", tmp_path, *flags)
    assert ended.code == 2
    assert flags[0].strip("-").replace("-", "_") in ended.err


def test_export_with_recovery_refuses_other_weights_first(
    asked: Any, tmp_path: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "export", lambda *_, **__: pytest.fail("it was exported"))
    ended = run_cli("export", "m", tmp_path / "out", "--weights", "int8", "--recover", 15)
    assert ended.code == 2
    assert "int8" in ended.err
    assert asked == []
