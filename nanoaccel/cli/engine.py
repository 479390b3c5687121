"""Opening a bundle for a command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.cli.options import EngineOptions
from nanoaccel.cli.progress import working

if TYPE_CHECKING:
    from nanoaccel.runtime.llm import LLM


def open_llm(bundle: Path, options: EngineOptions, *, max_running: int | None = None) -> LLM:
    """Load a bundle, with a spinner while it lasts.

    Args:
        bundle: Its folder.
        options: What the user set.
        max_running: Requests that run together at most; None is the default of ``LLM``.

    Raises:
        NanoAccelError: As ``LLM`` does.
    """
    arguments = options.arguments()
    if max_running is not None:
        arguments["max_running"] = max_running
    with working(f"loading {bundle}"):
        from nanoaccel.runtime.llm import LLM

        return LLM(bundle, **arguments)
