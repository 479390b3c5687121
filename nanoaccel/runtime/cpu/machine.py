"""The machine that this process runs on."""

from __future__ import annotations

import logging
import sys
from functools import cache
from pathlib import Path

from nanoaccel.runtime.cpu.linux import read_linux
from nanoaccel.runtime.cpu.macos import ask_macos, read_macos
from nanoaccel.runtime.cpu.topology import Machine
from nanoaccel.runtime.cpu.windows import read_windows
from nanoaccel.runtime.cpu.windows_calls import ask_windows

_log = logging.getLogger("nanoaccel.cpu")


@cache
def this_machine() -> Machine:
    """The machine, as it was when this was first asked; says then what it had to guess."""
    machine = read_machine()
    for note in machine.notes:
        _log.warning("cpu: %s", note)
    return machine


def read_machine(root: Path = Path("/")) -> Machine:
    """Look at the machine again.

    Args:
        root: Where /proc and /sys are, on all but Windows and macOS; tests replace it.
    """
    if sys.platform == "win32":
        return read_windows(ask_windows())
    if sys.platform == "darwin":
        return read_macos(ask_macos)
    return read_linux(root)


def cpu_name() -> str:
    """What the CPU calls itself."""
    return this_machine().topology.name
