"""Token windows on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nanoaccel.calibration.datasets import cached_windows, token_cache_folder

WINDOWS = [np.arange(4), np.arange(4, 8)]


class Maker:
    """Makes the windows and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> list[np.ndarray]:
        self.times += 1
        return WINDOWS


def _get(folder: Path, make: Maker, key: str = "model, 2 windows") -> None:
    found = cached_windows(folder, key, (2, 4), make)
    assert [window.tolist() for window in found] == [window.tolist() for window in WINDOWS]
    assert all(window.dtype == np.int64 for window in found)


def test_windows_are_made_once_for_each_key(tmp_path: Path) -> None:
    make = Maker()
    folder = tmp_path / "deep" / "cache"
    for _ in range(3):
        _get(folder, make)
    assert make.times == 1
    _get(folder, make, "another model")
    assert make.times == 2
    assert len(list(folder.iterdir())) == 2  # nothing unfinished is left


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no numpy"),
        lambda path: np.save(path, np.zeros((2, 5), np.int64)),
        lambda path: np.save(path, np.zeros((2, 4))),
        lambda path: np.save(path, -np.ones((2, 4), np.int64)),
        lambda path: np.save(path, np.array([[{}]]), allow_pickle=True),
    ],
)
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    make = Maker()
    _get(tmp_path, make)
    [file] = tmp_path.iterdir()
    damage(file)
    _get(tmp_path, make)
    _get(tmp_path, make)
    assert make.times == 2


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    make = Maker()
    for _ in range(2):
        _get(tmp_path / "file" / "cache", make)
    assert make.times == 2


def test_what_a_failed_maker_raises_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> list[np.ndarray]:
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError):
        cached_windows(tmp_path, "key", (2, 4), fail)
    assert not list(tmp_path.iterdir())


def test_the_folder_is_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NANOACCEL_CACHE", str(tmp_path))
    assert token_cache_folder() == tmp_path / "calibration"
