"""Calls into event loops from other threads: those of a step wake a loop once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

_Loop = asyncio.AbstractEventLoop


_Calls = dict[_Loop, list[Callable[[], None]]]


class _Gathered(threading.local):
    """What this thread will call, by loop; None while it calls at once."""

    calls: _Calls | None = None


_gathered = _Gathered()


def call_in(loop: _Loop, function: Callable[..., None], *values: object) -> None:
    """Call a function in an event loop, from another thread; nobody listens when it is closed.

    Args:
        loop: Where it is called.
        function: Must not raise.
        values: What it is called with.
    """
    calls = _gathered.calls
    if calls is not None:
        calls.setdefault(loop, []).append(partial(function, *values))
        return
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *values)


@contextmanager
def gathered_calls() -> Iterator[None]:
    """Let each loop be woken once for all that this thread calls in it meanwhile, at the end.

    Waking one takes 50 us and lets its thread run: for each of eight texts, they would take turns.
    """
    calls: _Calls = {}
    _gathered.calls = calls
    try:
        yield
    finally:
        _gathered.calls = None
        for loop, functions in calls.items():
            call_in(loop, _call_all, functions)


def _call_all(functions: Sequence[Callable[[], None]]) -> None:
    for function in functions:
        function()
