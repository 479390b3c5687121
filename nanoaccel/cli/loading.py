"""Opening a bundle for a command."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nanoaccel.cli.errors import INTERRUPTED
from nanoaccel.cli.ui.progress import working

if TYPE_CHECKING:
    from nanoaccel.runtime.llm import LLM


@contextmanager
def open_llm(bundle: Path, **arguments: Any) -> Iterator[LLM]:
    """Load a bundle, with a spinner while it lasts; it is closed at the end of the block.

    Closing waits for the pass through the graph that runs.

    Args:
        bundle: Its folder.
        arguments: As ``LLM`` takes them.

    Raises:
        NanoAccelError: As ``LLM`` does.
    """
    with working(f"loading {bundle}"):
        from nanoaccel.runtime.llm import LLM

        llm = LLM(bundle, **arguments)
    if llm.backend.name == "torch" and arguments.get("backend") in (None, "auto"):
        typer.echo(
            f"{bundle} is not exported: torch runs it as it is. 'nanoaccel export {bundle} OUT' "
            "makes it smaller and faster.",
            err=True,
        )
    with closed_at_end(llm):
        yield llm


@contextmanager
def closed_at_end(llm: LLM) -> Iterator[LLM]:
    """Close a model at the end of the block; Ctrl-C while that lasts ends the process at once."""
    try:
        yield llm
    finally:
        # An exception would end the interpreter while the graph computes, which aborts it.
        before = signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        try:
            llm.close()
        finally:
            signal.signal(signal.SIGINT, before)
