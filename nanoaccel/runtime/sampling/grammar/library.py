"""llguidance, imported when a grammar is used, and called with bounds on what it may take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from nanoaccel.errors import MissingExtraError, SamplingError

# Seconds that checking or compiling a grammar may take.
MOST_SECONDS = 5.0
# The library cannot be interrupted: so many grammars that took too long may go on at once.
_MOST_ABANDONED = 2
# States of a lexer, of 1 to 2 kB each.
_MOST_STATES = 50_000

T = TypeVar("T")

_lock = threading.Lock()
_abandoned: list[threading.Thread] = []


def llguidance() -> Any:
    """The module.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return import_module("llguidance")
    except ImportError as error:
        raise MissingExtraError(
            "a grammar needs llguidance, which is not installed",
            'Install it: pip install "nanoaccel[grammar]"',
        ) from error


def limits() -> Any:
    """What a parser may take, where the library's default is too much for one of many requests."""
    return llguidance().LLParserLimits(max_lexer_states=_MOST_STATES, verbose_errors=False)


def bounded(work: Callable[[], T], seconds: float | None = None) -> T:
    """What a call of the library gives, if it gives it in time.

    Args:
        work: The call, which lets other threads run.
        seconds: What it may take; None is ``MOST_SECONDS``.

    Raises:
        SamplingError: It takes longer, or others that took too long are not done yet.
    """
    given: list[T] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            given.append(work())
        except Exception as error:
            failures.append(error)

    seconds = MOST_SECONDS if seconds is None else seconds
    thread = threading.Thread(target=run, name="grammar", daemon=True)
    _enter()
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        with _lock:
            _abandoned.append(thread)
        raise SamplingError(
            f"the grammar takes more than {seconds:g} seconds to compile",
            "Simplify it: patterns that hold together (allOf) multiply",
        )
    if failures:
        raise failures[0]
    return given[0]


def _enter() -> None:
    with _lock:
        _abandoned[:] = [thread for thread in _abandoned if thread.is_alive()]
        if len(_abandoned) >= _MOST_ABANDONED:
            raise SamplingError(
                f"{len(_abandoned)} grammars that take too long to compile are not done yet",
                "Try again later",
            )
