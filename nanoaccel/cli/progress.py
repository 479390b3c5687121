"""What a waiting user sees on standard error: a spinner on a terminal, else plain lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nanoaccel.cli.sizes import bytes_text

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
    with _spinner() as spinner:
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
    with _spinner() as spinner:
        task = spinner.add_task("load the export tools")

        def listen(event: StageEvent) -> None:
            if event.done is not None:
                spinner.update(task, description=f"{event.stage}: {_share(spinner, task, event)}")
            elif event.seconds is None:
                spinner.reset(task, description=event.stage)
            else:
                spinner.console.print(
                    f"  {event.stage:<44} {_cost(event)}", markup=False, highlight=False
                )

        yield listen


@contextmanager
def _stage_lines() -> Iterator[Callable[[StageEvent], None]]:
    # The stream of now: the export replaces sys.stderr while its libraries work.
    stream = sys.stderr
    unfinished = False

    tenths = 0

    def listen(event: StageEvent) -> None:
        nonlocal unfinished, tenths
        unfinished = event.seconds is None
        if event.done is not None:
            if int(event.done * 10) > tenths:
                tenths = int(event.done * 10)
                print(f"{tenths}0% ", end="", file=stream, flush=True)
        elif unfinished:
            tenths = 0
            print(f"{event.stage} ... ", end="", file=stream, flush=True)
        else:
            print(_cost(event), file=stream, flush=True)

    try:
        yield listen
    finally:
        if unfinished:
            print(file=stream, flush=True)


def _share(spinner: Progress, task: TaskID, event: StageEvent) -> str:
    """How much of a stage is done, and the time that is left."""
    elapsed = spinner.tasks[task].elapsed
    if elapsed is None or not event.done:
        return "0%"
    left = elapsed * (1 - event.done) / event.done
    return f"{event.done:.0%}, {left / 60:.0f} min left"


def _cost(event: StageEvent) -> str:
    return f"{event.seconds:6.1f} s  {bytes_text(event.memory):>9}"


def _spinner() -> Progress:
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
