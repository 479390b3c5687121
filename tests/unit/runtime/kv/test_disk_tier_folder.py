from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from support.disk_tiers import LOCK, OpenShelf, Shelf, block_files

from nanoaccel.errors import PromptCacheError


def test_disk_tier_folder_that_cannot_be_used_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below"):
        with pytest.raises(PromptCacheError, match=rf"{folder} cannot be used.*Name a folder"):
            Shelf(folder)
    # The superuser may write everywhere, so the answer is faked.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PromptCacheError, match="read-only"):
        Shelf(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="a folder where not even root makes files")
def test_disk_tier_folder_without_room_for_a_lock_is_an_error() -> None:
    with pytest.raises(PromptCacheError, match="/proc cannot be used"):
        Shelf(Path("/proc"))


def test_disk_tier_failed_opening_leaves_the_folder_to_others(
    open_shelf: OpenShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise OSError(errno.EIO, "broken disk")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", fail)
        with pytest.raises(PromptCacheError, match="broken disk"):
            open_shelf()
    assert open_shelf().save(1)


def test_disk_tier_second_user_in_the_same_process_is_refused(open_shelf: OpenShelf) -> None:
    first = open_shelf()
    with pytest.raises(PromptCacheError, match=r"in use by this process\. Wait"):
        open_shelf(identity="model 2")
    first.save(1)
    first.close()
    assert open_shelf().load(1)


def test_disk_tier_lock_of_unknown_holder_is_refused(open_shelf: OpenShelf) -> None:
    first = open_shelf()
    (first.folder / LOCK).write_text("?")
    with pytest.raises(PromptCacheError, match="in use by another process"):
        open_shelf()


def test_disk_tier_removes_what_a_killed_writer_left(
    open_shelf: OpenShelf, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = open_shelf()
    unfinished = []

    def watched(source: Path, _: Path) -> None:
        unfinished.append(Path(source))
        raise OSError(errno.EIO, "broken disk")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", watched)
        shelf.save(1)
        shelf.close()
    caplog.clear()
    unfinished[0].write_bytes(b"half")
    shelf = open_shelf()
    assert block_files(shelf.folder) == []
    assert shelf.tier.num_bytes == 0
    assert not caplog.records


def test_disk_tier_leaves_foreign_files_alone(
    open_shelf: OpenShelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = open_shelf()
    shelf.save(1)
    shelf.close()
    foreign = [shelf.folder / "a-1.kv", shelf.folder / "notes.txt", shelf.folder / "photos"]
    foreign[0].write_text("mine")
    foreign[1].write_text("mine too")
    foreign[2].mkdir()
    shelf = open_shelf()
    assert shelf.load(1)
    assert all(path.exists() for path in foreign)
    assert [record.getMessage() for record in caplog.records] == [
        f"{foreign[0]} is no block of a prompt cache; it is left alone"
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="no file modes")
def test_disk_tier_files_are_private(open_shelf: OpenShelf) -> None:
    shelf = open_shelf()
    shelf.save(1)
    shelf.close()
    assert shelf.folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in shelf.folder.iterdir()] == [0o600, 0o600]
