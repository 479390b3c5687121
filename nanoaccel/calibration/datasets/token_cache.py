"""Token windows on disk, for text that takes long to make."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoaccel.folders import cache_folder, kept_if_possible, whole_file


def token_cache_folder() -> Path:
    """Where token windows are kept."""
    return cache_folder() / "calibration"


def cached_windows(
    folder: Path,
    key: str,
    shape: tuple[int, int],
    make: Callable[[], Sequence[NDArray[np.int64]]],
) -> list[NDArray[np.int64]]:
    """Give windows out of a cache, or make them and keep them.

    A file that is damaged is made again; a folder that cannot be written keeps nothing.

    Args:
        folder: Where they are kept; made when needed.
        key: All that the windows depend on, in any words.
        shape: How many windows, and the tokens in each.
        make: Function that makes the windows.
    """
    file = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
    kept = _read(file, shape)
    if kept is None:
        kept = np.stack(make()).astype(np.int64)
        _write(file, kept)
    return list(kept)


def _read(file: Path, shape: tuple[int, int]) -> NDArray[np.int64] | None:
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    sound = isinstance(found, np.ndarray) and found.dtype == np.int64 and found.shape == shape
    return found if sound and bool((found >= 0).all()) else None


def _write(file: Path, windows: NDArray[np.int64]) -> None:
    with kept_if_possible(), whole_file(file) as partial, partial.open("wb") as out:
        np.save(out, windows)
