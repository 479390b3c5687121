from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from nanoaccel.bundle import MANIFEST
from nanoaccel.errors import ExportError
from nanoaccel.exporters import publish
from nanoaccel.exporters.publish import check_space, publishing


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make_bundle(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST).write_text(text)


def test_publishing_shows_nothing_before_the_end(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with publishing(target, overwrite=False) as work:
        (work / "file").write_text("x")
        assert not target.exists()
    assert names(target) == ["file"]
    assert names(target.parent) == ["out"]


def test_publishing_leaves_nothing_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with publishing(tmp_path / "out", overwrite=False) as work:
            (work / "file").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert names(tmp_path) == []


def test_publishing_into_an_empty_folder_works(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with publishing(tmp_path / "out", overwrite=False) as work:
        (work / "file").write_text("x")
    assert names(tmp_path / "out") == ["file"]


def test_publishing_refuses_a_bundle_unless_told(tmp_path: Path) -> None:
    make_bundle(tmp_path / "out", "old")
    with (
        pytest.raises(ExportError, match="--overwrite"),
        publishing(tmp_path / "out", overwrite=False),
    ):
        pass
    with publishing(tmp_path / "out", overwrite=True) as work:
        make_bundle(work, "new")
    assert (tmp_path / "out" / MANIFEST).read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_publishing_keeps_the_old_bundle_when_the_new_one_fails(tmp_path: Path) -> None:
    make_bundle(tmp_path / "out", "old")
    with pytest.raises(ExportError), publishing(tmp_path / "out", overwrite=True):
        raise ExportError("no")
    assert (tmp_path / "out" / MANIFEST).read_text() == "old"


def test_publishing_never_replaces_what_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("x")
    with (
        pytest.raises(ExportError, match="it is no bundle"),
        publishing(tmp_path / "out", overwrite=True),
    ):
        pass
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(ExportError, match="is a file"),
        publishing(tmp_path / "file", overwrite=True),
    ):
        pass


def test_publishing_notices_a_target_that_appeared_meanwhile(tmp_path: Path) -> None:
    with (
        pytest.raises(ExportError, match="is in use"),
        publishing(tmp_path / "out", overwrite=False),
    ):
        make_bundle(tmp_path / "out", "somebody else's")
    assert (tmp_path / "out" / MANIFEST).read_text() == "somebody else's"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), RuntimeError("iostream error")])
def test_publishing_says_that_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    usage = namedtuple("usage", "total used free")(10, 10, 0)
    monkeypatch.setattr(publish.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ExportError, match="is full"), publishing(tmp_path / "out", overwrite=False):
        raise error
    assert names(tmp_path) == []


def test_publishing_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(ExportError, match="cannot write"),
        publishing(tmp_path / "file" / "out", overwrite=False),
    ):
        pass


def test_publishing_removes_what_killed_exports_left(tmp_path: Path) -> None:
    killed = (
        "import os, sys, pathlib, signal\n"
        "from nanoaccel.exporters.publish import check_space, publishing\n"
        "with publishing(pathlib.Path(sys.argv[1]), overwrite=False) as work:\n"
        "    (work / 'half').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", killed, str(tmp_path / "out")], check=False)
    assert done.returncode != 0
    assert len(names(tmp_path)) == 1
    assert not (tmp_path / "out").exists()
    living = tmp_path / f".out.partial-{os.getppid()}"
    living.mkdir()
    with publishing(tmp_path / "out", overwrite=False) as work:
        (work / "file").write_text("x")
    assert names(tmp_path) == [living.name, "out"]
    shutil.rmtree(living)


def test_check_space_refuses_what_the_disk_cannot_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(100, 10, 2_000_000)
    monkeypatch.setattr(publish.shutil, "disk_usage", lambda _: usage)
    check_space(tmp_path, 2_000_000)
    with pytest.raises(ExportError, match="needs about 3 MB, 2 MB are free"):
        check_space(tmp_path, 3_000_000)


def test_publishing_names_the_file_that_an_error_is_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, other = tmp_path / "cache", tmp_path / "model" / "weights"
    monkeypatch.setenv("NANOACCEL_CACHE", str(cache))
    out = tmp_path / "outs" / "out"

    def told(place: Path | None) -> str:
        def fail() -> None:
            with publishing(out, overwrite=False):
                raise PermissionError(errno.EACCES, "Permission denied", place)

        with pytest.raises(ExportError) as caught:
            fail()
        return str(caught.value)

    assert told(cache / "references" / "x").startswith(f"cannot use the cache folder {cache}: ")
    assert "NANOACCEL_CACHE" in told(cache / "references" / "x")
    assert told(other).startswith(f"cannot use {other}: Permission denied")
    assert told(out.parent / ".out.partial-1" / "x").startswith(f"cannot write {out}: ")
    assert all(str(out) not in told(place) for place in (cache / "x", other, None))
