"""How far many things of one kind have come: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import typer

_LINE_SECONDS = 30.0


class Counting(Protocol):
    """Shows how many are done."""

    def __call__(self, done: int, note: str = "") -> None:
        """Show a number, and a word about it."""
        ...


@contextmanager
def counting(what: str, total: int) -> Iterator[Counting]:
    """Show on standard error how many of so many things are done.

    Args:
        what: What they are, in the plural.
        total: How many there are.
    """
    if not sys.stderr.isatty():
        yield _Lines(what, total)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        task = bar.add_task(what, total=total, note="")
        yield lambda done, note="": bar.update(task, completed=done, note=note)


class _Lines:
    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._last = time.monotonic()

    def __call__(self, done: int, note: str = "") -> None:
        if time.monotonic() - self._last >= _LINE_SECONDS:
            self._last = time.monotonic()
            more = f", {note}" if note else ""
            typer.echo(f"{done} of {self._total} {self._what}{more}", err=True)
