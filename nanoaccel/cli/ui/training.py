"""What a user sees of a training, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nanoaccel.cli.ui.progress import make_spinner
from nanoaccel.cli.ui.sizes import bytes_text
from nanoaccel.cli.ui.table import table
from nanoaccel.exporters.progress import StageEvent
from nanoaccel.finetune.events import Evaluated, Planned, Stepped

if TYPE_CHECKING:
    from nanoaccel.finetune.events import Event, Listener

_LINE_SECONDS = 10.0
_SHOWN = 160  # characters of an answer


@contextmanager
def training() -> Iterator[Listener]:
    """A listener that shows stages, steps and evaluations; without a terminal, a line each."""
    stream = sys.stderr
    if not stream.isatty():

        def write(text: str) -> None:
            print(text, file=stream, flush=True)

        yield Shown(write, None).hear
        return
    with make_spinner() as spinner:
        task = spinner.add_task("load the tools")

        def show(text: str) -> None:
            spinner.update(task, description=text)

        def say(text: str) -> None:
            spinner.console.print(text, markup=False, highlight=False)

        yield Shown(say, show).hear


class Shown:
    """Turns events into text.

    Args:
        say: Shows lines that stay.
        show: Shows a line that the next one replaces; None where there is no terminal.
    """

    def __init__(self, say: Callable[[str], None], show: Callable[[str], None] | None) -> None:
        self._say = say
        self._show = show
        self._said = 0.0

    def hear(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, StageEvent):
            self._stage(event)
        elif isinstance(event, Planned):
            self._say(f"\n{table(event.rows, indent=2)}\n")
            for warning in event.warnings:
                self._say(f"warning: {warning}")
        elif isinstance(event, Stepped):
            self._step(event)
        else:
            self._say(describe_evaluation(event))

    def _stage(self, event: StageEvent) -> None:
        if event.seconds is not None:
            cost = f"{event.seconds:6.1f} s  {bytes_text(event.memory):>9}"
            self._say(f"  {event.stage:<44} {cost}")
        elif self._show is not None and event.stage != "train":
            self._show(event.stage)

    def _step(self, event: Stepped) -> None:
        text = describe_step(event)
        if self._show is not None:
            self._show(text)
        elif time.monotonic() - self._said >= _LINE_SECONDS or event.step == event.steps:
            self._said = time.monotonic()
            self._say(text)


def describe_step(event: Stepped) -> str:
    """A step in a line."""
    left = event.seconds_left
    time_left = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
    return (
        f"step {event.step} of {event.steps}: loss {event.loss:.3f}, "
        f"{event.tokens_per_second:.0f} tokens/s, {time_left} left"
    )


def describe_evaluation(event: Evaluated) -> str:
    """An evaluation: its loss, and what the model answers."""
    behind = "before the first step" if event.step == 0 else f"behind step {event.step}"
    loss = "" if event.loss is None else f": validation loss {event.loss:.4f}"
    best = ", the best so far" if event.best and event.step > 0 else ""
    lines = [f"{behind}{loss}{best}"]
    for sample in event.samples:
        lines += [
            f"    asked     {_short(sample.prompt, last=True)}",
            f"    expected  {_short(sample.expected)}",
            f"    answered  {_short(sample.answer)}",
        ]
    return "\n".join(lines)


def _short(text: str, *, last: bool = False) -> str:
    """A text in one line, its beginning or its end; control characters escaped."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    if len(line) <= _SHOWN:
        return line
    return f"... {line[-_SHOWN:]}" if last else f"{line[:_SHOWN]} ..."
