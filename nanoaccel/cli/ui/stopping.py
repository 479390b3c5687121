"""What a command says when Ctrl-C stops it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def told_when_stopped(consequence: str) -> Iterator[None]:
    """Say what a command that is stopped inside leaves behind."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"stopped; {consequence}", err=True)
        raise
