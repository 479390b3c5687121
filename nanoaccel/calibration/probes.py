"""Probes: requests whose log-probabilities can be compared row by row.

All prompts are beginnings of one sequence, so that one pass over it has every answer. Where a model
computes short texts otherwise than long ones, a pass over its beginning has those of short ones.
Behind each prompt stands a run of one token: a request that is made to write that token goes on as
the sequence does, and its single steps can be compared too.

    text ... a a a a ... text ... b b b b ... text ... c c c c
            |                    |                    |
            prompt 1 ends        prompt 2 ends        prompt 3 ends
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Lengths of the prompts: shorter and longer than a step, at the borders of a step and of blocks.
STEP_TOKENS = 48
_LENGTHS = (5, 31, 64, 97, 150, 260)
_WRITTEN = 4  # tokens that each request writes
_BEYOND = 24  # tokens that the last prompt reaches beyond a border
_LONGEST = 1280  # tokens that a check may take
_SEED = 17


@dataclass(frozen=True, slots=True)
class Probe:
    """A request.

    Args:
        length: Tokens of its prompt, the first ones of the sequence.
        token: What it writes.
    """

    length: int
    token: int


@dataclass(frozen=True, slots=True)
class Probes:
    """Requests, and the sequence that they are beginnings of.

    Args:
        tokens: i64[L].
        requests: Shortest first.
        written: Tokens that each of them writes.
        border: Tokens of the longest text that is computed as its beginnings are; None for any.
    """

    tokens: NDArray[np.int64]
    requests: Sequence[Probe]
    written: int
    border: int | None = None

    @property
    def passes(self) -> Sequence[NDArray[np.int64]]:
        """What has every answer, i64[T] each: the sequence, and its beginning for short texts."""
        if self.border is None or self.border >= len(self.tokens):
            return [self.tokens]
        return [self.tokens, self.tokens[: self.border]]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Positions in the sequence behind which a token is written, request after request."""
        ends = np.array([probe.length - 1 for probe in self.requests])
        return (ends[:, None] + np.arange(self.written)).ravel()

    def ask(self, read: Callable[[NDArray[np.int64]], NDArray[np.float32]]) -> NDArray[np.float32]:
        """What a model answers: log-probabilities f32[R, V].

        Args:
            read: Gives its logits f32[T, V] over tokens i64[T].
        """
        return self.answers([self.pick(read(passage)) for passage in self.passes])

    def pick(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows of a pass, f32[T, V], that answers are made of."""
        return logits[self.rows[self.rows < len(logits)]]

    def answers(self, picked: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """What a model answers, given what was picked of each of ``passes``."""
        found = picked[0]
        for passage, short in zip(self.passes[1:], picked[1:], strict=True):
            found[self.rows < len(passage)] = short
        return log_softmax(found)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-probabilities f32[R, V]."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    found = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    narrow: NDArray[np.float32] = found.astype(np.float32)
    return narrow


def choose_probes(
    windows: Sequence[NDArray[np.int64]],
    context: int,
    borders: Sequence[int] = (),
    long_border: int | None = None,
) -> Probes:
    """Requests for a model.

    The tokens are a piece of text, and then tokens of the text in any order: ordinary tokens, in
    an order that no model expects, so that little is certain.

    Args:
        windows: Text, i64[T] each.
        context: Tokens that the model can attend to.
        borders: Lengths beyond which the model computes something else, such as sliding windows;
            those that are too far for a check are left out.
        long_border: The one beyond which it computes the whole text otherwise; None without.
    """
    borders = [*borders, *([] if long_border is None else [long_border])]
    written = max(1, min(_WRITTEN, context - 1))
    lengths = _lengths(min(context, _LONGEST) - written, borders)
    random = np.random.default_rng(_SEED)
    text = np.concatenate(windows)
    known = np.unique(text)
    tokens = random.choice(known, lengths[-1] + written)
    begin = min(len(text), lengths[-1] // 3)
    tokens[:begin] = text[:begin]
    requests = []
    for length in lengths:
        tokens[length : length + written] = tokens[length]
        requests.append(Probe(length, int(tokens[length])))
    return Probes(tokens.astype(np.int64), requests, written, long_border)


def _lengths(most: int, borders: Sequence[int]) -> list[int]:
    """Lengths of prompts, far enough from each other for what each of them writes."""
    beyond = {border + _BEYOND for border in borders}
    found: list[int] = []
    for length in sorted({*_LENGTHS, *beyond}):
        if length <= most and (not found or length - found[-1] > _WRITTEN):
            found.append(length)
    return found if found else [max(1, most)]


@dataclass(frozen=True, slots=True)
class Answer:
    """Log-probabilities that an engine gave for a token that it wrote.

    Args:
        probe: Number of the request.
        step: Tokens that it had written before.
        found: (token, log-probability): of the one that it wrote, and of the likeliest.
    """

    probe: int
    step: int
    found: Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Difference:
    """The largest that was found, and where.

    Args:
        nats: Difference of a log-probability, in nats.
        length: Tokens that stood before.
        prompt: Tokens of the request's prompt.
    """

    nats: float
    length: int
    prompt: int


def largest_difference(
    probes: Probes, expected: NDArray[np.float32], answers: Sequence[Answer]
) -> Difference:
    """Compare an engine's answers with those that are right.

    Args:
        probes: What it was asked.
        expected: Log-probabilities f32[R, V], a row for each of ``probes.rows``.
        answers: What it gave, one or more; not-a-number is infinitely far off.
    """
    worst = Difference(-1.0, 0, 0)
    for answer in answers:
        row = expected[answer.probe * probes.written + answer.step]
        prompt = probes.requests[answer.probe].length
        for token, value in answer.found:
            nats = abs(float(row[token]) - value)
            nats = float("inf") if np.isnan(nats) else nats
            if nats > worst.nats:
                worst = Difference(nats, prompt + answer.step, prompt)
    return worst
