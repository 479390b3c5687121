"""``nanoaccel finetune`` and ``merge`` pass on what was asked, and show what happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from nanoaccel.cli.options.finetune import parse_layers
from nanoaccel.cli.ui.training import Shown, describe_evaluation, describe_step
from nanoaccel.errors import ConfigError
from nanoaccel.exporters.progress import StageEvent
from nanoaccel.finetune import merge as merging
from nanoaccel.finetune import run as running
from nanoaccel.finetune.adapters.deltas import MergeOptions
from nanoaccel.finetune.data.prepare import DataOptions
from nanoaccel.finetune.events import Evaluated, Planned, Sample, Stepped
from nanoaccel.finetune.merge import Merged
from nanoaccel.finetune.run import Trained
from nanoaccel.finetune.train.history import History
from nanoaccel.finetune.train.options import TrainingOptions

pytestmark = pytest.mark.export

PLANNED = Planned((("examples", "95 to learn"),), ("2 rows are broken and were left out",))
STEP = Stepped(1, 2, 3.25, 5e-4, 100, 562.4, 200.0)
JUDGED = [
    Evaluated(0, 4.5, (Sample("Say a", "a", "b\x1b[0m"),), True),
    Evaluated(2, 1.25, (Sample("Say a", "a", "a"),), True),
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Trainings that were asked for; they are not done."""
    seen: list[dict[str, Any]] = []

    def finetune(*arguments: Any, listener: Any, **more: Any) -> Trained:
        model, data, out, options, data_options = arguments
        seen.append({"options": options, "data": data_options, "place": (model, data, out), **more})
        for event in (StageEvent("read the data", 1.0, 10**6), PLANNED, STEP, *JUDGED):
            listener(event)
        if model == "stopped":
            raise KeyboardInterrupt
        history = History([3.25, 2.0], [5e-4, 1e-4], JUDGED, 200, 1.0)
        made = None if more["plan_only"] else history
        return Trained(Path(out), made, PLANNED, {"train": 1.0}, 10**9)

    monkeypatch.setattr(running, "finetune", finetune)
    return seen


def test_finetune_passes_options_on(asked: Any, tmp_path: Path, run_cli: Any) -> None:
    ended = run_cli(
        *("finetune", "sample", "data.jsonl", tmp_path / "out", "--method", "dora", "--rank", 8),
        *("--alpha", 4, "--dropout", 0.1, "--modules", "q_proj,v_proj", "--layers", "1,3-4"),
        *("--learning-rate", 1e-3, "--epochs", 2, "--batch-tokens", 500, "--pass-tokens", 400),
        *("--weight-decay", 0.1, "--gradient-checkpointing", "--evaluations", 3, "--patience", 2),
        *("--samples", 1, "--seed", 7, "--max-length", 99, "--long", "drop", "--raw"),
        *("--skip-broken", "--validation", "v.jsonl", "--validation-share", 0.2, "--resume"),
        "--json",
    )
    assert ended.code == 0, ended.err
    (found,) = asked
    assert found["options"] == TrainingOptions(
        method="dora",
        rank=8,
        alpha=4,
        dropout=0.1,
        modules=("q_proj", "v_proj"),
        layers=(1, 3, 4),
        learning_rate=1e-3,
        epochs=2,
        batch_tokens=500,
        pass_tokens=400,
        weight_decay=0.1,
        gradient_checkpointing=True,
        evaluations=3,
        patience=2,
        samples=1,
        seed=7,
    )
    assert found["data"] == DataOptions(
        max_length=99,
        long="drop",
        raw=True,
        skip_broken=True,
        validation="v.jsonl",
        validation_share=0.2,
        seed=7,
    )
    assert (found["resume"], found["overwrite"], found["plan_only"]) == (True, False, False)
    told = json.loads(ended.out)
    assert told["history"]["losses"] == [3.25, 2.0]
    assert told["facts"] == {"examples": "95 to learn"}


def test_defaults_are_those_of_python(asked: Any, run_cli: Any) -> None:
    assert run_cli("finetune", "sample", "data.jsonl", "out").code == 0
    assert asked[0]["options"] == TrainingOptions()
    assert asked[0]["data"] == DataOptions()


def test_finetune_shows_what_happens(asked: Any, run_cli: Any) -> None:  # noqa: ARG001
    ended = run_cli("finetune", "sample", "data.jsonl", "out")
    assert "  examples  95 to learn" in ended.err
    assert "warning: 2 rows are broken" in ended.err
    assert "step 1 of 2: loss 3.250, 562 tokens/s, 3 min left" in ended.err
    assert "before the first step: validation loss 4.5000" in ended.err
    assert r"answered  b\x1b[0m" in ended.err
    assert "validation loss 4.5000 before, 1.2500 behind step 2, which is kept" in ended.out
    assert "nanoaccel merge sample out out-merged" in ended.out
    assert "nanoaccel export out-merged out-bundle" in ended.out


def test_finetune_stops_before_the_first_step(asked: Any, run_cli: Any) -> None:
    ended = run_cli("finetune", "sample", "data.jsonl", "out", "--dry-run")
    assert (ended.code, ended.out) == (0, "")
    assert asked[0]["plan_only"]


def test_finetune_says_how_to_go_on_after_ctrl_c(asked: Any, run_cli: Any) -> None:  # noqa: ARG001
    ended = run_cli("finetune", "stopped", "data.jsonl", "out")
    assert ended.code == 130
    assert ended.err.endswith("stopped; go on with the same command and --resume\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "magic"), "method='magic' is unknown"),
        (("--rank", 0), "rank=0 is out of range"),
        (("--layers", "4-2"), "--layers '4-2' is no list of numbers"),
        (("--long", "bend"), "long='bend' is unknown"),
    ],
)
def test_finetune_refuses_what_cannot_be(
    arguments: tuple[Any, ...], message: str, asked: Any, run_cli: Any
) -> None:
    ended = run_cli("finetune", "sample", "data.jsonl", "out", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert asked == []


def test_parse_layers() -> None:
    assert parse_layers("0, 4-6,4") == (0, 4, 5, 6)
    for wrong in ("", "a", "1-", "-1"):
        with pytest.raises(ConfigError):
            parse_layers(wrong)


def test_steps_and_evaluations_are_lines() -> None:
    assert describe_step(STEP).count("\n") == 0
    long = Evaluated(3, None, (Sample("x" * 500, "a\nb", "y" * 500),), False)
    lines = describe_evaluation(long).splitlines()
    assert lines[0] == "behind step 3"
    assert len(lines) == 4
    assert all(len(line) < 200 for line in lines)


def test_a_terminal_shows_steps_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []
    said: list[str] = []
    listener = Shown(said.append, shown.append)
    for event in (StageEvent("load the model", None, 1), StageEvent("train", None, 1), STEP):
        listener.hear(event)
    assert shown == ["load the model", describe_step(STEP)]
    assert said == []
    listener.hear(JUDGED[1])
    assert said == [describe_evaluation(JUDGED[1])]
    assert capsys.readouterr().err == ""


def test_merge_passes_options_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run_cli: Any
) -> None:
    seen: list[Any] = []

    def merge(*arguments: Any, **more: Any) -> Merged:
        seen.append((*arguments, more["overwrite"]))
        return Merged(tmp_path, 7, ("a note",))

    monkeypatch.setattr(merging, "merge", merge)
    ended = run_cli(
        *("merge", "sample", "one", "two", tmp_path, "--weights", "0.7,0.3", "--how", "ties"),
        *("--density", 0.2, "--seed", 3, "--overwrite"),
    )
    assert ended.code == 0, ended.err
    options = MergeOptions(weights=(0.7, 0.3), how="ties", density=0.2, seed=3)
    assert seen == [("sample", [Path("one"), Path("two")], tmp_path, options, True)]
    assert "7 matrices changed\nnote: a note" in ended.out
    ended = run_cli("merge", "sample", "one", tmp_path, "--weights", "much")
    assert (ended.code, ended.out) == (2, "")
    assert "--weights 'much' are no numbers" in ended.err
