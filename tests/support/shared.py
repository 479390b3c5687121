"""Folders that are made once a run, for all processes that share its tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder of that name; the first process that asks for it makes it, and others wait.

    Args:
        factory: pytest's, of this process.
        name: Of the folder, below one that all processes know.
        make: Makes the folder at a path where nothing is; its parent is there.
    """
    base = factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = root / "shared" / name
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            partial = folder.with_name(f"{name}.partial")
            shutil.rmtree(partial, ignore_errors=True)  # a process failed to make it
            make(partial)
            partial.rename(folder)
    return folder
