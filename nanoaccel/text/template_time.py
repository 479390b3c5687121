"""A bound on what rendering a template may take: it is a program, and messages are its input."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

MOST_SECONDS = 10.0

Item = TypeVar("Item")

_end: ContextVar[float] = ContextVar("_end")


class TemplateTimeError(Exception):
    """A template has run too long."""


@contextmanager
def limited(seconds: float | None = None) -> Iterator[None]:
    """Let a template run for so long in this block.

    Args:
        seconds: How long; None is ``MOST_SECONDS``.
    """
    token = _end.set(time.monotonic() + (MOST_SECONDS if seconds is None else seconds))
    try:
        yield
    finally:
        _end.reset(token)


def check_time() -> None:
    """Raise TemplateTimeError when the time of the block around it is over."""
    if time.monotonic() > _end.get():
        raise TemplateTimeError


def in_time(items: Iterable[Item]) -> Iterator[Item]:
    """The items of a loop, while there is time."""
    end = _end.get()
    for item in items:
        if time.monotonic() > end:
            raise TemplateTimeError
        yield item
