from __future__ import annotations

import os
from pathlib import Path

import pytest

from nanoaccel.runtime.cpu.others import OthersMeter

TICKS = os.sysconf("SC_CLK_TCK")


class Times:
    """A clock and a CPU time that a test sets."""

    now = 0.0
    own = 0.0


def write(root: Path, **busy_seconds: float) -> None:
    (root / "proc").mkdir(exist_ok=True)
    lines = [
        f"{name} {round(seconds * TICKS)} 0 0 77 88 0 0 0 0 0"
        for name, seconds in busy_seconds.items()
    ]
    (root / "proc/stat").write_text("\n".join([*lines, "", "intr 1 2"]))


def meter(root: Path, times: Times) -> OthersMeter:
    return OthersMeter([0, 2], root=root, clock=lambda: times.now, own=lambda: times.own)


def test_others_are_what_is_not_this_process(tmp_path: Path) -> None:
    times = Times()
    write(tmp_path, cpu=99, cpu0=1, cpu1=1, cpu2=1)
    measuring = meter(tmp_path, times)
    times.now, times.own = 10.0, 8.0
    write(tmp_path, cpu=999, cpu0=9, cpu1=999, cpu2=8)
    assert measuring.used() == pytest.approx(0.7)


def test_others_are_never_less_than_none(tmp_path: Path) -> None:
    times = Times()
    write(tmp_path, cpu0=1, cpu2=1)
    measuring = meter(tmp_path, times)
    times.now, times.own = 1.0, 1.0
    assert measuring.used() == 0


@pytest.mark.parametrize("text", ["", "cpu0 1 1", "cpu0 x 0 0 0 0 0 0 0\ncpu2 1 0 0 0 0 0 0 0"])
def test_others_are_unknown_where_the_system_does_not_tell(text: str, tmp_path: Path) -> None:
    times = Times()
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(text)
    measuring = meter(tmp_path, times)
    times.now = 1.0
    assert measuring.used() is None
