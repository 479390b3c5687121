"""Options of an evaluation: what is compared with what, or which tasks are done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from nanoaccel.cli.options.panels import in_tasks
from nanoaccel.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonOptions:
    """What the bundle is compared with, over which text."""

    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL|BUNDLE|none",
            help="What it is compared with; the model that it was made from when not given.",
        ),
    ] = None
    text: Annotated[
        str,
        typer.Option(
            metavar="FILE|docs|DATASET", help="What is read; docs is Python's language reference."
        ),
    ] = "docs"
    column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the text's rows to read.")
    ] = None
    tokens: Annotated[int, typer.Option(help="Tokens to read, where the text has as many.")] = 16384
    length: Annotated[
        int | None,
        typer.Option(help="Tokens of a window, read for itself; 512 where the context has room."),
    ] = None
    precision: Annotated[
        str,
        typer.Option(
            metavar="f32|auto",
            help="f32 shows what compression costs, auto all that happens on this CPU.",
        ),
    ] = "f32"

    adapter: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR", help="An adapter to run with: one of the bundle's, or a folder."
        ),
    ] = None

    @property
    def compares(self) -> bool:
        """Whether there is something to compare with."""
        return self.against != "none"

    def reading(self) -> dict[str, Any]:
        """Keyword arguments for ``perplexity``, and for ``evaluate``."""
        return {
            "text": self.text,
            "column": self.column,
            "tokens": self.tokens,
            "length": self.length,
            "precision": self.precision,
            "adapter": self.adapter,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Which tasks are done, if any."""

    tasks: Annotated[
        str | None, in_tasks(metavar="NAME,...", help="Do these tasks, and compare with nothing.")
    ] = None
    limit: Annotated[int | None, in_tasks(help="Documents of each task at most.")] = None
    num_fewshot: Annotated[
        int | None, in_tasks(help="Solved examples before each question; else as the task says.")
    ] = None
    chat: Annotated[
        bool, in_tasks("--chat", help="Put questions through the model's chat template.")
    ] = False
    include_path: Annotated[
        Path | None, in_tasks(metavar="DIR", help="A folder of tasks of your own.")
    ] = None

    def names(self) -> tuple[str, ...]:
        """Names of the tasks; none when they were not asked for.

        Raises:
            ConfigError: One is empty.
        """
        if self.tasks is None:
            return ()
        names = tuple(name.strip() for name in self.tasks.split(","))
        if not all(names):
            raise ConfigError(
                f"--tasks {self.tasks!r} is not a list of names", "Write it as arc_easy,piqa"
            )
        return names
