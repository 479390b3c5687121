from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.fake_llms import write_bundle

from nanoaccel.finetune.drafts import make
from nanoaccel.finetune.drafts.make import TrainedDraft
from nanoaccel.finetune.drafts.recipe import DraftRecipe


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path, DraftRecipe, bool]]:
    """Trainings that were asked for; they are not done."""
    seen = []

    def train(target: str, out: Path, recipe: DraftRecipe, *, overwrite: bool, listener: Any):  # type: ignore[no-untyped-def]  # noqa: ARG001
        seen.append((target, out, recipe, overwrite))
        return TrainedDraft(out, [0.5, 0.31], {"train the draft": 7.0})

    monkeypatch.setattr(make, "train_draft", train)
    return seen


def test_draft_train_passes_the_recipe_on(trained: Any, tmp_path: Path, run_cli: Any) -> None:
    text = tmp_path / "text"
    text.write_text("some")
    ended = run_cli(
        *("draft", "train", "target", tmp_path / "out", "--kind", "layers", "--layers", 4),
        *("--tokens", 900, "--epochs", 2, "--vocabulary", 100, "--text", text, "--seed", 3),
        *("--overwrite", "--json"),
    )
    assert ended.code == 0
    expected = DraftRecipe(
        kind="layers", tokens=900, epochs=2, vocabulary=100, layers=4, text=text, seed=3
    )
    assert trained == [("target", tmp_path / "out", expected, True)]
    assert json.loads(ended.out)["survival"] == [0.5, 0.31]


def test_draft_train_tells_what_was_made_and_what_to_try(
    trained: Any,  # noqa: ARG001 - nothing is trained
    run_cli: Any,
) -> None:
    ended = run_cli("draft", "train", "target", "out")
    assert "are right at 50%, 31% of the places" in ended.out
    assert ended.out.endswith("  nanoaccel draft rank target out\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--kind", "tail"), "kind='tail' is unknown"),
        (("--tokens", "0"), "tokens=0 is out of range"),
        (("--epochs", "-1"), "epochs=-1 is out of range"),
        (("--vocabulary", "0"), "vocabulary=0 is out of range"),
        (("--text", "nowhere.txt"), "text='nowhere.txt' is no file"),
        (("--kind", "layers", "--start", "head"), "only a head can start from another"),
    ],
)
def test_draft_train_refuses_what_cannot_be(
    arguments: tuple[str, ...], message: str, run_cli: Any
) -> None:
    ended = run_cli("draft", "train", "target", "out", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def test_draft_rank_measures_drafts_beside_ngrams(
    letters: Path, tmp_path: Path, run_cli: Any
) -> None:
    (letters / "config.json").write_text('{"max_position_embeddings": 512}')
    draft = write_bundle(tmp_path / "a draft")
    ended = run_cli("draft", "rank", letters, draft, "--max-tokens", 12, "--rounds", 1, "--json")
    assert ended.code == 0, ended.err
    ranked = {one["name"]: one for one in json.loads(ended.out)}
    assert set(ranked) == {"ngram", str(draft)}
    assert ranked[str(draft)]["size"] > 0
    assert ranked["ngram"]["size"] == 0
    shown = run_cli("draft", "rank", letters, draft, "--max-tokens", 12, "--rounds", 1).out
    assert "tokens a step" in shown
    assert str(draft) in shown


def test_draft_rank_refuses_what_is_no_draft(letters: Path, tmp_path: Path, run_cli: Any) -> None:
    ended = run_cli("draft", "rank", letters, tmp_path / "none")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: draft=")
    assert "is not a folder" in ended.err
