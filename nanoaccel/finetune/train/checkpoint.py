"""What a training that was stopped goes on from: whole files, the last good ones kept."""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nanoaccel.errors import ExportError
from nanoaccel.exporters.publish import disk_is_full
from nanoaccel.folders import whole_file

_log = logging.getLogger("nanoaccel.finetune")
_NAME = re.compile(r"step-(\d+)\.pt")
_KEPT = 2
_BEST = "best.pt"


class Checkpoints:
    """The checkpoints of one training, in its folder.

    Args:
        folder: Stands already.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write a checkpoint, and remove those before the last one.

        Args:
            step: Steps that are done.
            state: Tensors, numbers, texts, and lists and mappings of them.

        Raises:
            ExportError: The disk is full; what was written before stays.
        """
        self._write(f"step-{step:07d}.pt", state)
        for path in self._paths()[_KEPT:]:
            path.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The newest checkpoint that can be read; None where there is none."""
        for path in self._paths():
            state = _read(path)
            if state is not None:
                return state
        return None

    def save_best(self, weights: Mapping[str, Tensor]) -> None:
        """Keep the weights that were judged best so far.

        Raises:
            ExportError: As of ``save``.
        """
        self._write(_BEST, dict(weights))

    def load_best(self) -> dict[str, Tensor] | None:
        """The weights that were judged best."""
        return _read(self._folder / _BEST)

    def _paths(self) -> list[Path]:
        """Newest first."""
        return sorted(
            (path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True
        )

    def _write(self, name: str, state: Mapping[str, Any]) -> None:
        with whole_file(self._folder / name) as partial:
            try:
                with partial.open("wb") as file:
                    torch.save(dict(state), file)
                    file.flush()
                    os.fsync(file.fileno())
            except (OSError, RuntimeError) as error:  # what was written of it still takes its space
                quota = isinstance(error, OSError) and error.errno == errno.EDQUOT
                if not quota and not disk_is_full(error, self._folder):
                    raise
                last = next((path.name for path in self._paths()), "none")
                raise ExportError(
                    f"the disk of {self._folder} is full, and {name} was not written; the last "
                    f"checkpoint is {last}",
                    "Free space, and go on with --resume",
                ) from error


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception as error:  # torch raises all kinds on a damaged file
        _log.warning("%s cannot be read and is passed over: %s", path, type(error).__name__)
        return None
    return state
