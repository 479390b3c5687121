"""The same dialogues answered in several ways, each by a process of its own, in turn."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.figures import in_turn
from benchmarks.harness.worker import Worker

PLAIN = "off"
Dialogue = Sequence[str | list[int]]


@dataclass(frozen=True, slots=True)
class Group:
    """Dialogues that are asked at once.

    Args:
        kind: Of what they are.
        dialogues: What the user says in each.
        ignore_eos: Go on behind an end of text.
    """

    kind: str
    dialogues: Sequence[Dialogue]
    ignore_eos: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """A group of dialogues, answered in all ways.

    Args:
        kind: Of the group.
        answers: By way, what ``Dialogues.ask`` told; ``PLAIN`` is one of them.
    """

    kind: str
    answers: dict[str, dict[str, Any]]

    @property
    def disturbed(self) -> float:
        """The largest share of the machine that other programs had meanwhile."""
        return max(float(answer["disturbed"]) for answer in self.answers.values())

    def same(self, way: str) -> int:
        """Texts that equal the plain ones."""
        pairs = zip(self.answers[way]["texts"], self.answers[PLAIN]["texts"], strict=True)
        return sum(ours == plain for ours, plain in pairs)


class Ways:
    """A process for each way of answering.

    Args:
        folder: A bundle.
        ways: Values of ``speculation``.
        options: More arguments of ``LLM``.
        stored: The cache folder that each process begins with a copy of; None begins with what the
            user has, ``Path()`` with nothing.

    Attributes:
        load_seconds: By way, how long its process took until it could answer.
    """

    def __init__(
        self, folder: Path, ways: Sequence[str], options: dict[str, object], stored: Path | None
    ) -> None:
        self._stack = ExitStack()
        self._workers: dict[str, Worker] = {}
        self.load_seconds: dict[str, float] = {}
        for way in ways:
            environment: dict[str, str] = {}
            if stored is not None:
                temporary = self._stack.enter_context(tempfile.TemporaryDirectory())
                if stored != Path():
                    shutil.copytree(stored, temporary, dirs_exist_ok=True)
                environment = {"NANOACCEL_CACHE": temporary}
            begun = time.perf_counter()
            worker = Worker(
                "nanoaccel-dialogues",
                folder,
                {"speculation": way, **options},
                environment=environment,
            )
            self._workers[way] = self._stack.enter_context(worker)
            self.vocab_size: int = worker.call("vocab_size")
            self.load_seconds[way] = time.perf_counter() - begun

    def ask(self, group: Group, turn: int, max_tokens: int, temperature: float) -> Turn:
        """Answer a group in one way after the other; who begins changes."""
        arguments = (list(group.dialogues), max_tokens, group.ignore_eos, temperature)
        found = {
            way: self._workers[way].call("ask", *arguments)
            for way in in_turn(list(self._workers), turn)
        }
        return Turn(group.kind, found)

    def close(self) -> None:
        """End the processes."""
        self._stack.close()

    def __enter__(self) -> Ways:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
