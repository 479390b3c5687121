from __future__ import annotations

import os
import signal

import pytest

from nanoaccel.cli.interrupt import interruptible


def _press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_interruptible_only_notes_the_first_press() -> None:
    with interruptible() as pressed:
        assert not pressed()
        _press()
        assert pressed()


def test_interruptible_raises_at_the_second_press() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():  # noqa: PT012
        _press()
        _press()


def test_interruptible_hides_what_breaks_on_the_way_out() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():  # noqa: PT012
        try:
            _press()
            _press()
        finally:
            raise RuntimeError("half done")


def test_interruptible_lets_errors_through() -> None:
    with pytest.raises(RuntimeError), interruptible():
        raise RuntimeError


def test_interruptible_gives_the_handler_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
