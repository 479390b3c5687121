"""How likely a bundle finds given continuations of given contexts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nanoaccel.calibration.metrics import log_softmax
from nanoaccel.evaluation.logits import BundleLogits, Passage, Rows

_ROWS = 64  # that are worked on at once


@dataclass(frozen=True, slots=True)
class Continuation:
    """Tokens behind others.

    Args:
        context: 1 or more, which are given.
        tokens: Tokens that are judged.
    """

    context: tuple[int, ...]
    tokens: tuple[int, ...]

    def within(self, length: int) -> Continuation:
        """The same without the begin of the context, so that the model reads ``length`` tokens.

        The last token is not read. Where the tokens alone are too many, the first are lost.
        """
        unread = min(1, len(self.tokens))
        kept = (*self.context, *self.tokens)[-(length + unread) :]
        split = max(1, len(kept) - len(self.tokens))
        return Continuation(kept[:split], kept[split:])

    @property
    def read(self) -> tuple[int, ...]:
        """What the model reads."""
        return (*self.context, *self.tokens[:-1])

    @property
    def first(self) -> int:
        """Place of the token that predicts the first judged one."""
        return len(self.context) - 1


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a continuation is.

    Args:
        log_probability: Log-probability of all its tokens together, nats.
        greedy: Whether each of them is the likeliest at its position.
    """

    log_probability: float
    greedy: bool


def score(
    logits: BundleLogits,
    asked: Sequence[Continuation],
    tell: Callable[[float], None],
) -> list[Likelihood]:
    """Judge continuations, many at once.

    Continuations that read the same, as the answers A to D of a question do, are computed once.

    Args:
        logits: Logits of the bundle.
        asked: Each within the length that the bundle was opened for.
        tell: Called with the share that is done.

    Returns:
        One for each, in their order.
    """
    same: dict[tuple[int, ...], list[int]] = {}
    for index, continuation in enumerate(asked):
        same.setdefault(continuation.read, []).append(index)
    # Neighbours in order begin the same or are alike in length, and fill passes well.
    reads = sorted(same, key=len)
    passages = [
        Passage(np.array(read, np.int64), min(asked[index].first for index in same[read]))
        for read in reads
    ]
    sums, greedy = np.zeros(len(asked)), np.ones(len(asked), np.bool_)
    for rows in logits.read(passages):
        for index in same[reads[rows.passage]]:
            found, likeliest = _judge(rows, asked[index])
            sums[index] += found
            greedy[index] &= likeliest
        tell((rows.passage + 1) / len(passages))
    return [Likelihood(float(s), bool(g)) for s, g in zip(sums, greedy, strict=True)]


def _judge(rows: Rows, continuation: Continuation) -> tuple[float, bool]:
    """Log-probability of those tokens that these rows predict, and whether all are likeliest."""
    first = continuation.first
    begin = max(rows.begin, first)
    end = min(rows.begin + len(rows.logits), first + len(continuation.tokens))
    total, likeliest = 0.0, True
    for index in range(begin, end, _ROWS):
        last = min(index + _ROWS, end)
        right = np.array(continuation.tokens[index - first : last - first], np.int64)
        logs = log_softmax(rows.logits[index - rows.begin : last - rows.begin])
        total += float(logs[np.arange(len(right)), right].sum(dtype=np.float64))
        likeliest &= bool((logs.argmax(axis=-1) == right).all())
    return total, likeliest
