"""From a target to a draft for it, also when it is stopped in between."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from nanoaccel import LLM, SamplingParams
from nanoaccel.bundle import HEAD, Bundle, Head
from nanoaccel.errors import ConfigError, ExportError
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.progress import StageEvent
from nanoaccel.finetune.drafts import corpus
from nanoaccel.finetune.drafts.make import train_draft
from nanoaccel.finetune.drafts.recipe import DraftRecipe

pytestmark = pytest.mark.export

QUICK = DraftRecipe(tokens=600, epochs=1, vocabulary=100)


@pytest.fixture(autouse=True)
def _short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = partial(corpus.write_corpus, group_size=10, answer_tokens=40)
    monkeypatch.setattr(corpus, "write_corpus", quick)


def test_train_draft_makes_a_head_that_its_target_runs(
    tiny_model: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "head"
    events: list[StageEvent] = []
    made = train_draft(str(tiny_bundle), out, QUICK, listener=events.append)
    assert made.folder == out
    assert len(made.survival) == 4
    assert all(0 <= share <= 1 for share in made.survival)
    about = Head.open(out).manifest
    assert about.target == Bundle.open(tiny_bundle).fingerprint()
    assert about.training["survival"] == made.survival
    assert {event.stage for event in events if event.done is not None} >= {
        "let the target write",
        "let the target read it",
        "train the draft",
    }
    assert list(tmp_path.iterdir()) == [out]
    with LLM(tiny_bundle, draft=out, precision="f32") as llm:
        text = llm.generate("The tide", SamplingParams(max_tokens=40, ignore_eos=True))
        assert text.usage.completion_tokens == 40
    bundle = export(tiny_model, tmp_path / "bundle", draft=str(out), runtime="openvino")
    assert bundle.draft is not None
    assert bundle.manifest is not None
    assert bundle.manifest.draft == {"kind": "head", "from": str(out), "reason": "it was named"}
    assert json.loads((bundle.folder / "report.json").read_text())["draft"]["kind"] == "head"


def test_train_draft_makes_a_head_for_the_runtime_of_its_target(
    tiny_onnx_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "head"
    train_draft(str(tiny_onnx_bundle), out, QUICK)
    assert Head.open(out).runtimes == ("onnx", "openvino")
    params = SamplingParams(max_tokens=40, ignore_eos=True)
    with LLM(tiny_onnx_bundle, draft=out, speculation="head", precision="f32") as llm:
        assert llm.generate("The tide", params).usage.completion_tokens == 40


def test_train_draft_goes_on_where_it_was_stopped(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "head"

    def stop(event: StageEvent) -> None:
        if event.stage == "train the draft" and event.done is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_draft(str(tiny_bundle), out, QUICK, listener=stop)
    work = tmp_path / ".head.training"
    assert not out.exists()
    written = (work / "corpus.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="holds a training with other options"):
        train_draft(str(tiny_bundle), out, replace(QUICK, epochs=2))
    seen: list[bytes] = []

    def watch(event: StageEvent) -> None:
        if event.stage == "train the draft":
            seen.append((work / "corpus.jsonl").read_bytes())

    train_draft(str(tiny_bundle), out, QUICK, listener=watch)
    assert set(seen) == {written}
    assert not work.exists()


def test_train_draft_starts_from_another_head(tiny_bundle: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train_draft(str(tiny_bundle), first, QUICK)
    train_draft(str(tiny_bundle), second, replace(QUICK, seed=1, start=first))
    assert Head.open(second).manifest.training["start"] == str(first)


def test_train_draft_keeps_what_stands_there(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "head"
    out.mkdir()
    (out / HEAD).write_text("{}")
    with pytest.raises(ExportError, match="is in use"):
        train_draft(str(tiny_bundle), out, QUICK)
    assert list(tmp_path.iterdir()) == [out]


def test_train_draft_makes_a_model_of_fewer_layers_from_a_text(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The tide comes in twice a day, and the keeper writes it down.\n" * 60)
    recipe = DraftRecipe(kind="layers", layers=2, epochs=1, text=text)
    train_draft(str(tiny_bundle), tmp_path / "draft", recipe)
    with LLM(tiny_bundle, draft=tmp_path / "draft", speculation="draft_model") as llm:
        output = llm.generate("The tide", SamplingParams(max_tokens=20, ignore_eos=True))
        assert output.usage.completion_tokens == 20


def test_train_draft_of_a_bundle_without_its_model_makes_a_head_only(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nanoaccel.errors import SourceError
    from nanoaccel.exporters.source import model_source as source

    def gone(name: str) -> source.Source:
        raise SourceError(f"{name} is gone", "Look for it")

    monkeypatch.setattr(source, "resolve", gone)
    layers = replace(QUICK, kind="layers", layers=2)
    with pytest.raises(ConfigError, match="was made from are not there"):
        train_draft(str(tiny_bundle), tmp_path / "model", layers)
    train_draft(str(tiny_bundle), tmp_path / "head", QUICK)
    assert Head.open(tmp_path / "head").manifest.layers == (0, 2)
