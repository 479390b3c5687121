"""What the comparison with peers asks of the engines, and what it counts of their answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.harness.prompts import encode_prompt, prompt_kinds, prompts_of
from benchmarks.harness.results import Row
from benchmarks.harness.worker import Answer

if TYPE_CHECKING:
    from nanoaccel.text import Tokenizer

START = "start"  # fresh processes, instead of prompts to those that run
FIDELITY = "fidelity"  # no speed at all: what the weights lost
LENGTHS = {"long-1k": 1024, "long-2k": 2048, "long-4k": 4096, "long-8k": 8192}
NAMES = ("decode-1", "decode-8", "prefill-512", "prompts", *LENGTHS, START, FIDELITY)
QUICK = ("decode-1", "decode-8", "prefill-512", "prompts", "long-1k", START)
TOKENS_PER_SECOND, SECONDS, MEGABYTES = "tokens/s", "seconds", "MB"


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts that are asked at once.

    Args:
        prompts: Token ids; several have one length.
        max_tokens: Tokens of an answer at most.
        ignore_eos: Go on behind an end of text.
    """

    prompts: list[list[int]]
    max_tokens: int
    ignore_eos: bool = True


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that answers give.

    Args:
        name: Of its row.
        count: Makes it of the batches of a round and their answers.
    """

    name: str
    count: Callable[[Sequence[Batch], Sequence[Answer]], float]


@dataclass(frozen=True, slots=True)
class Measurement:
    """Batches of each round, and the figures that come of them."""

    rounds: list[list[Batch]]
    figures: tuple[Figure, ...]


def decode_rate(batches: Sequence[Batch], answers: Sequence[Answer]) -> float:
    """Tokens a second from the first on, which is the prompt's."""
    firsts = sum(len(batch.prompts) for batch in batches)
    tokens = sum(answer.tokens for answer in answers) - firsts
    return tokens / sum(answer.total - answer.first for answer in answers)


def prefill_rate(batches: Sequence[Batch], answers: Sequence[Answer]) -> float:
    """Tokens of prompts a second."""
    tokens = sum(len(prompt) for batch in batches for prompt in batch.prompts)
    return tokens / sum(answer.first for answer in answers)


def answer_rate(_: Sequence[Batch], answers: Sequence[Answer]) -> float:
    """Tokens a second of whole answers, the reading of the prompt included."""
    return sum(answer.tokens for answer in answers) / sum(answer.total for answer in answers)


class Workload:
    """Makes the batches of prompts that a model is asked.

    Args:
        tokenizer: Its tokenizer.
        context: Its longest sequence.
        rounds: How often each row is measured.
        quick: Shorter answers, fewer prompts.
    """

    def __init__(self, tokenizer: Tokenizer, context: int, rounds: int, quick: bool) -> None:
        self._tokenizer = tokenizer
        self._context = context
        self._rounds = rounds
        self._quick = quick
        size = len(tokenizer.vocabulary())
        self._ids = range(size // 50, size * 2 // 5)  # neither special nor rare

    def measurement(self, name: str) -> Measurement | None:
        """The batches of a row; None when the model cannot take them."""
        short = self._quick
        if name == "decode-1":
            batches = self._random(name, 1, 128, 64 if short else 128)
            return Measurement(batches, (Figure("decode 1", decode_rate),))
        if name == "decode-8":  # so short that all begin in one step, and none waits meanwhile
            batches = self._random(name, 8, 16, 48 if short else 96)
            return Measurement(batches, (Figure("decode 8", decode_rate),))
        if name == "prefill-512":
            batches = self._random(name, 1, 512, 2)
            return Measurement(batches, (Figure("prefill 512", prefill_rate),))
        if name == "prompts":
            figures = Figure("prompts", decode_rate), Figure("prompts, whole answers", answer_rate)
            return Measurement(self._project(64 if short else 128), figures)
        max_tokens = 32
        length = min(LENGTHS[name], self._context - max_tokens)
        if length < LENGTHS[name] - max_tokens:
            return None
        label = f"{LENGTHS[name] // 1024}k tokens"
        figures = (
            Figure(f"decode after {label}", decode_rate),
            Figure(f"prefill of {label}", prefill_rate),
        )
        return Measurement(self._random(name, 1, length, max_tokens), figures)

    def warm_up(self, *, speculates: bool) -> list[Batch]:
        """One of each kind of pass; for engines that speculate, texts in which they can."""
        few = self._random("warm-up", 1, min(512, self._context - 16), 16)[0]
        if speculates:
            return few + [Batch([self._ids_of(f"loop {n}", 16) * 8], 48) for n in range(3)]
        return few + self._random("warm-up", 8, 16, 8)[0]

    def first(self, turn: int, length: int, max_tokens: int) -> Batch:
        """A prompt for a fresh process."""
        return Batch([self._ids_of(f"{START} {turn}", length)], max_tokens)

    def _random(self, name: str, count: int, length: int, max_tokens: int) -> list[list[Batch]]:
        """New random tokens each round, so that no engine finds them in a cache."""
        return [
            [Batch([self._ids_of(f"{name} {r} {n}", length) for n in range(count)], max_tokens)]
            for r in range(self._rounds)
        ]

    def _ids_of(self, seed: str, length: int) -> list[int]:
        return random.Random(seed).choices(self._ids, k=length)

    def _project(self, max_tokens: int) -> list[list[Batch]]:
        """The prompts of benchmarks/prompts, all kinds in each round, none twice."""
        kinds = [prompts_of(kind) for kind in prompt_kinds()]
        each = 1 if self._quick else len(kinds[0])
        batches = []
        for text in (kind[number] for number in range(each) for kind in kinds):
            ids = encode_prompt(self._tokenizer, text)[-(self._context - max_tokens) :]
            batches.append(Batch([ids], max_tokens, ignore_eos=False))
        rounds = min(self._rounds, len(batches))
        size = len(batches) / rounds
        return [batches[int(r * size) : int((r + 1) * size)] for r in range(rounds)]


def start_rows(
    seconds: Mapping[str, Sequence[float]], memory: Mapping[str, Sequence[Mapping[str, int]]]
) -> list[Row]:
    """What fresh processes show."""
    rows = [Row("cold start", SECONDS, False, seconds)]
    for kind in ("resident", "anonymous"):
        sizes = {name: [p[kind] / 1e6 for p in peaks] for name, peaks in memory.items()}
        rows.append(Row(f"peak {kind} memory", MEGABYTES, False, sizes))
    return rows
