"""How long the examples of a data set are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nanoaccel.errors import SourceError
from nanoaccel.finetune.data.encode import Encoder
from nanoaccel.finetune.data.read import read_rows
from nanoaccel.finetune.data.records import Completion, Conversation, Problem, Record

_BARS = 16


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of all examples.

    Args:
        unit: "tokens", or "characters" where no model is named.
        whole: Of each example.
        learned: Of that, what is learned.
        broken: Rows that cannot be learned.
    """

    unit: str
    whole: tuple[int, ...]
    learned: tuple[int, ...]
    broken: int

    def quantile(self, share: float) -> int:
        """The length that this share of the examples does not exceed."""
        ordered = sorted(self.whole)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]

    def bars(self) -> list[tuple[int, int, int]]:
        """Bars of a picture: the shortest and the longest length of each, and how many have it."""
        low, high = min(self.whole), max(self.whole)
        width = max(1, math.ceil((high - low + 1) / _BARS))
        counts = [0] * ((high - low) // width + 1)
        for length in self.whole:
            counts[(length - low) // width] += 1
        return [
            (low + i * width, low + (i + 1) * width - 1, count) for i, count in enumerate(counts)
        ]


def measure(source: str, encoder: Encoder | None) -> Lengths:
    """Measure all examples.

    Args:
        source: As of ``read_rows``.
        encoder: Encoder of the model; None counts characters.

    Raises:
        SourceError: The data cannot be read, or nothing of it can be learned.
    """
    whole: list[int] = []
    learned: list[int] = []
    broken = 0
    for row in read_rows(source):
        if isinstance(row, Problem):
            broken += 1
            continue
        if encoder is None:
            found = _characters(row.record)
            whole.append(found[0])
            learned.append(found[1])
            continue
        examples = encoder.encode(row)
        if isinstance(examples, Problem):
            broken += 1
            continue
        whole += map(len, examples)
        learned += (int(one.taught[1:].sum()) for one in examples)
    if not whole:
        raise SourceError(f"{source} has nothing to learn", "See 'nanoaccel data check'")
    unit = "characters" if encoder is None else "tokens"
    return Lengths(unit, tuple(whole), tuple(learned), broken)


def _characters(record: Record) -> tuple[int, int]:
    """All characters of a record, and those that are learned."""
    if isinstance(record, Completion):
        return len(record.prompt) + len(record.answer), len(record.answer)
    if isinstance(record, Conversation):
        said = [(one["role"], len(str(one["content"] or ""))) for one in record.messages]
        whole = sum(length for _, length in said)
        return whole, sum(length for role, length in said if role == "assistant")
    return len(record.text), len(record.text)
