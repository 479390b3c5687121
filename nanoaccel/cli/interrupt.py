"""Ctrl-C that ends an answer at a safe place instead of anywhere in the program."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Inside the block the first Ctrl-C only makes the function that it gives return True.

    The second one interrupts at once; whatever fails on the way out is then that interrupt.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed twice.
    """
    presses = 0

    def press(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's interface
        nonlocal presses
        presses += 1
        if presses > 1:
            raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: presses > 0
    except Exception:
        if presses > 1:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, previous)
