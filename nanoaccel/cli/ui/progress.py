"""What a waiting user sees on standard error: a spinner on a terminal, else plain lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nanoaccel.cli.ui.sizes import bytes_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from nanoaccel.exporters.progress import StageEvent


@contextmanager
def working(text: str) -> Iterator[Callable[[str], None]]:
    """Show that something is being done; the function that it gives changes the text.

    Without a terminal only the changes are printed, a line each.
    """
    stream = sys.stderr
    if not stream.isatty():
        yield lambda changed: print(changed, file=stream, flush=True)
        return
    with make_spinner() as spinner:
        task = spinner.add_task(text)
        yield lambda changed: spinner.update(task, description=changed)


@contextmanager
def stages() -> Iterator[Callable[[StageEvent], None]]:
    """A listener for an export, which shows each stage with its time and memory."""
    stream = sys.stderr
    if not stream.isatty():
        with _stage_lines() as listener:
            yield listener
        return
    with make_spinner() as spinner:
        task = spinner.add_task("load the export tools")

        shown = ""

        def listen(event: StageEvent) -> None:
            nonlocal shown
            if event.seconds is not None:
                shown = ""
                spinner.console.print(
                    f"  {event.stage:<44} {_cost(event)}", markup=False, highlight=False
                )
                return
            if (name := f"{event.stage} {event.part}") != shown:
                shown = name
                spinner.reset(task, description=event.stage)
            if event.done is not None:
                spinner.update(task, description=_share(spinner, task, event))

        yield listen


@contextmanager
def _stage_lines() -> Iterator[Callable[[StageEvent], None]]:
    """A line for each stage, written when it ends: what a log file shows is whole."""
    # The stream of now: the export replaces sys.stderr while its libraries work.
    stream = sys.stderr
    unfinished: str | None = None

    def write(line: str) -> None:
        stream.write(f"{line}\n")
        stream.flush()

    def listen(event: StageEvent) -> None:
        nonlocal unfinished
        unfinished = event.stage if event.seconds is None else None
        if event.seconds is not None:
            write(f"{event.stage} ... {_cost(event).strip()}")

    try:
        yield listen
    finally:
        if unfinished is not None:
            write(f"{unfinished} ... not finished")


def _share(spinner: Progress, task: TaskID, event: StageEvent) -> str:
    """What is done of a stage, how much of it, and the time that is left."""
    elapsed = spinner.tasks[task].elapsed
    left = ""
    if elapsed is not None and event.done:
        seconds = elapsed * (1 - event.done) / event.done
        left = f", {seconds / 60:.0f} min left" if seconds >= 60 else f", {seconds:.0f} s left"
    return f"{event.stage}: {_so_far(event)}{left}"


def _so_far(event: StageEvent) -> str:
    """How much of a stage is done, where it tells."""
    share = "." if event.done is None else f"{event.done:.0%}"
    if event.size:
        share = f"{share} of {bytes_text(event.size)}"
    return f"{event.part} {share}" if event.part else share


def _cost(event: StageEvent) -> str:
    return f"{event.seconds:6.1f} s  {bytes_text(event.memory):>9}"


def make_spinner() -> Progress:
    """A line on standard error that turns, for a terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
