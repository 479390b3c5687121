from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.bundle import MANIFEST
from nanoaccel.bundle.in_use import hold
from nanoaccel.bundle.known import last_used, note_made, note_used


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known from other tests."""
    monkeypatch.setenv("NANOACCEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def listed(run_cli: Any, *arguments: object) -> list[dict[str, Any]]:
    ended = run_cli("list", "--json", *arguments)
    assert ended.code == 0, ended.err
    found: list[dict[str, Any]] = json.loads(ended.out)
    return found


def test_list_finds_bundles_below_this_folder(
    paper_bundle: Path, letters: Path, run_cli: Any
) -> None:
    found = {Path(one["folder"]).name: one for one in listed(run_cli)}
    assert set(found) == {"paper", "letters"}
    assert found["paper"]["model"] == "org/model"
    assert found["paper"]["recipe"].startswith("int4")
    assert found["paper"]["size"] == sum(
        path.stat().st_size for path in paper_bundle.rglob("*") if path.is_file()
    )
    assert found["letters"]["kind"] == "plain folder"
    assert found["letters"]["runtimes"] == ["openvino"]
    assert not any(one["damage"] or one["in_use"] for one in found.values())
    assert letters.is_dir()


def test_list_says_what_is_damaged(paper_bundle: Path, run_cli: Any) -> None:
    bin_file = paper_bundle / "openvino" / "openvino_model.bin"
    bin_file.write_bytes(b"\1" * bin_file.stat().st_size)
    assert listed(run_cli)[0]["damage"] == ""
    assert "was altered" in listed(run_cli, "--verify")[0]["damage"]
    bin_file.unlink()
    ended = run_cli("list")
    assert "damaged" in ended.out.splitlines()[1]
    assert f"{paper_bundle.name} is damaged: " in ended.out
    (paper_bundle / MANIFEST).write_text("{")
    assert "is not a manifest" in listed(run_cli)[0]["damage"]


def test_list_knows_what_was_made_and_used_elsewhere(
    paper_bundle: Path, tmp_path: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert listed(run_cli) == []
    note_made(paper_bundle)
    (one,) = listed(run_cli)
    assert (one["folder"], one["used"]) == (str(paper_bundle), None)
    note_used(paper_bundle)
    assert listed(run_cli)[0]["used"] == last_used(paper_bundle) is not None
    assert listed(run_cli, tmp_path / "other") == []
    shutil.rmtree(paper_bundle)
    assert listed(run_cli) == []


def test_generating_marks_a_folder_as_used(letters: Path, run_cli: Any) -> None:
    assert last_used(letters) is None
    assert run_cli("generate", letters, "a", "--raw", "--max-tokens", 1).code == 0
    assert last_used(letters) is not None


def test_rm_removes_a_bundle_and_what_is_known_of_it(paper_bundle: Path, run_cli: Any) -> None:
    note_used(paper_bundle)
    ended = run_cli("rm", paper_bundle, "--yes")
    assert (ended.code, ended.err) == (0, "")
    assert not paper_bundle.exists()
    assert list(paper_bundle.parent.glob(".paper*")) == []
    assert last_used(paper_bundle) is None


def test_rm_asks(paper_bundle: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run_cli("rm", paper_bundle)
    assert ended.code == 2
    assert "Say --yes" in ended.err
    for answer, left in (("", True), ("n", True), ("y", False)):
        monkeypatch.setattr("nanoaccel.cli.commands.rm.is_terminal", lambda: True)
        monkeypatch.setattr("builtins.input", lambda _, answer=answer: answer)
        assert run_cli("rm", paper_bundle).code == 0
        assert paper_bundle.exists() == left


def _foreign(bundle: Path) -> Path:
    (bundle / "notes.txt").write_text("mine")
    return bundle


def _linked(bundle: Path) -> Path:
    bundle.with_name("link").symlink_to(bundle)
    return bundle.with_name("link")


def _no_bundle(bundle: Path) -> Path:
    (bundle / MANIFEST).unlink()
    return bundle


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_foreign, "holds notes.txt, which is no part of it"),
        (_linked, "is a link to"),
        (_no_bundle, "is no bundle, and was not pulled"),
        (lambda bundle: bundle / "openvino", "is a part of the bundle"),
        (lambda bundle: bundle / "none", "is not a folder"),
    ],
)
def test_rm_refuses_what_is_not_a_bundle_alone(
    change: Any, told: str, paper_bundle: Path, letters: Path, run_cli: Any
) -> None:
    before = sorted(paper_bundle.rglob("*"))
    named = change(paper_bundle)
    ended = run_cli("rm", letters, named, "--yes")
    assert ended.code == 1
    assert told in ended.err
    assert letters.is_dir()  # all or none
    assert len(sorted(paper_bundle.rglob("*"))) >= len(before) - 1


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps open files itself")
def test_rm_refuses_what_a_process_has_open(paper_bundle: Path, run_cli: Any) -> None:
    with hold(paper_bundle) as _, hold(paper_bundle) as _:  # type: ignore[union-attr]
        ended = run_cli("rm", paper_bundle, "--yes")
        assert ended.code == 1
        assert "is in use: a process has it open" in ended.err
        assert listed(run_cli)[0]["in_use"]
    assert run_cli("rm", paper_bundle, "--yes").code == 0


def test_rm_does_not_follow_links_out(paper_bundle: Path, tmp_path: Path, run_cli: Any) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "letter").write_text("dear")
    manifest = json.loads((paper_bundle / MANIFEST).read_text())
    manifest["files"].append({"path": "out", "size": 0, "sha256": ""})
    (paper_bundle / MANIFEST).write_text(json.dumps(manifest))
    (paper_bundle / "out").symlink_to(tmp_path / "elsewhere")
    assert run_cli("rm", paper_bundle, "--yes").code == 0
    assert (tmp_path / "elsewhere" / "letter").read_text() == "dear"
