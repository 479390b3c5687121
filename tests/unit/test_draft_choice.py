from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.heads import write_head
from support.paper import write_paper_bundle

from nanoaccel.bundle import HEAD
from nanoaccel.errors import BundleDamagedError, ExportError
from nanoaccel.exporters.source.drafts import DraftChoice, add_draft, choose_draft


def no_export(model: str, out: Path) -> None:
    raise AssertionError(f"{model} is exported to {out}")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The folder of heads that come with NanoAccel, with two of them."""
    folder = tmp_path / "own"
    write_head(folder / "one", target="weights-1")
    write_head(folder / "two", target="weights-2")
    return folder


def test_choose_draft_auto_takes_the_head_for_these_weights(own: Path) -> None:
    choice = choose_draft("auto", "weights-2", heads=own)
    assert (choice.kind, choice.source) == ("head", str(own / "two"))
    assert choice.reason == "it comes with NanoAccel for these weights"


def test_choose_draft_auto_says_why_there_is_none(own: Path) -> None:
    choice = choose_draft("auto", "weights-3", heads=own)
    assert choice.kind == "none"
    assert "no head for these weights" in choice.reason
    assert choose_draft("none", "weights-1") == DraftChoice("none", "", "none was wanted")


def test_choose_draft_tells_what_a_place_holds(tmp_path: Path) -> None:
    head = write_head(tmp_path / "head", target="weights")
    bundle = write_paper_bundle(tmp_path / "bundle")
    assert choose_draft(str(head), "weights").kind == "head"
    assert choose_draft(str(bundle), "weights").kind == "bundle"
    assert choose_draft("org/small-model", "weights").kind == "model"


def test_choose_draft_refuses_a_head_for_other_weights(tmp_path: Path) -> None:
    head = write_head(tmp_path / "head", target="others")
    with pytest.raises(ExportError, match="trained for the weights others, these are weights"):
        choose_draft(str(head), "weights")
    (head / "head.bin").unlink()
    with pytest.raises(BundleDamagedError):
        choose_draft(str(head), "others")


def test_choose_draft_refuses_a_head_that_cannot_be_had_for_the_runtime(tmp_path: Path) -> None:
    head = write_head(tmp_path / "head")
    assert choose_draft(str(head), "weights", ("onnx", "openvino")).kind == "head"
    path = head / HEAD
    path.write_text(path.read_text().replace('"openvino"', '"onnx"'))
    assert choose_draft(str(head), "weights", ("onnx",)).kind == "head"
    with pytest.raises(ExportError, match="is a head for onnx alone"):
        choose_draft(str(head), "weights", ("openvino", "onnx"))


@pytest.mark.parametrize("kind", ["head", "bundle"])
def test_place_draft_copies_what_was_chosen(tmp_path: Path, kind: str) -> None:
    target = write_paper_bundle(tmp_path / "target")
    chosen = (
        write_head(tmp_path / "draft") if kind == "head" else write_paper_bundle(tmp_path / "draft")
    )
    add_draft(DraftChoice(kind, str(chosen), ""), target, no_export, context=64)
    names = {path.relative_to(chosen) for path in chosen.rglob("*")}
    assert {path.relative_to(target / "draft") for path in (target / "draft").rglob("*")} == names


def test_place_draft_exports_a_model(tmp_path: Path) -> None:
    target, made = write_paper_bundle(tmp_path / "target"), write_paper_bundle(tmp_path / "made")

    def export(model: str, out: Path) -> None:
        assert model == "org/small-model"
        shutil.copytree(made, out, dirs_exist_ok=True)

    add_draft(DraftChoice("model", "org/small-model", ""), target, export, context=64)
    assert (target / "draft" / "nanoaccel.json").is_file()


def test_place_draft_refuses_another_tokenizer(tmp_path: Path) -> None:
    target = write_paper_bundle(tmp_path / "target")
    other = write_paper_bundle(tmp_path / "other", more_tokens=["more"])
    with pytest.raises(ExportError, match="has another tokenizer than the model"):
        add_draft(DraftChoice("bundle", str(other), ""), target, no_export, context=64)


def test_place_draft_leaves_a_bundle_without_one_alone(tmp_path: Path) -> None:
    target = write_paper_bundle(tmp_path / "target")
    add_draft(DraftChoice("none", "", ""), target, no_export, context=64)
    assert not (target / "draft").exists()
