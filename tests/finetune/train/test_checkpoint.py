"""A checkpoint is whole, the last good one stays, and a full disk is named."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nanoaccel.errors import ExportError  # noqa: E402
from nanoaccel.finetune.train.checkpoint import Checkpoints  # noqa: E402

pytestmark = pytest.mark.export


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.load() is None
    for step in (1, 2, 30):
        checkpoints.save(step, {"step": step, "weights": {"a": torch.ones(3)}})
    assert names(tmp_path) == ["step-0000002.pt", "step-0000030.pt"]
    state = checkpoints.load()
    assert state is not None
    assert state["step"] == 30


def test_a_damaged_one_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"step": step, "weights": {"a": torch.ones(300)}})
    last = tmp_path / "step-0000002.pt"
    last.write_bytes(last.read_bytes()[:700])
    with caplog.at_level(logging.WARNING, "nanoaccel"):
        state = checkpoints.load()
    assert state is not None
    assert state["step"] == 1
    assert "step-0000002.pt cannot be read and is passed over" in caplog.text


def test_a_full_disk_is_named_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"step": 1})

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExportError) as caught:
        checkpoints.save(2, {"step": 2})
    assert "is full, and step-0000002.pt was not written" in str(caught.value)
    assert "the last checkpoint is step-0000001.pt" in str(caught.value)
    assert "--resume" in str(caught.value)
    assert names(tmp_path) == ["step-0000001.pt"]


def test_a_disk_that_is_full_of_the_checkpoint_itself_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch raises errors of its own then, and what it wrote is removed."""

    def broken(_: Any, file: Any) -> None:
        file.write(b"part")
        raise RuntimeError("unexpected pos 4829504 vs 4829392")

    def free(_: Path) -> Any:
        return SimpleNamespace(free=0 if any(tmp_path.glob("*.partial")) else 1 << 40)

    monkeypatch.setattr(torch, "save", broken)
    monkeypatch.setattr(shutil, "disk_usage", free)
    with pytest.raises(ExportError, match=r"is full, and step-0000001.pt was not written"):
        Checkpoints(tmp_path).save(1, {"step": 1})
    assert names(tmp_path) == []
