"""What peers.py asks of the engines, and what it counts of their answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workers import Answer

if TYPE_CHECKING:
    from nanoaccel.text import Tokenizer

PROMPTS = Path(__file__).parent / "prompts"
START = "start"  # fresh processes, instead of questions to those that run
FIDELITY = "fidelity"  # no speed at all: what the weights lost
LENGTHS = {"long-1k": 1024, "long-2k": 2048, "long-4k": 4096, "long-8k": 8192}
NAMES = ("decode-1", "decode-8", "prefill-512", "prompts", *LENGTHS, START, FIDELITY)
QUICK = ("decode-1", "decode-8", "prefill-512", "prompts", "long-1k", START)
TOKENS_PER_SECOND, SECONDS, MEGABYTES = "tokens/s", "seconds", "MB"


@dataclass(frozen=True, slots=True)
class Question:
    """Prompts that are asked at once.

    Args:
        prompts: Token ids; several have one length.
        generate: Tokens of an answer at most.
        endless: Go on behind an end of text.
    """

    prompts: list[list[int]]
    generate: int
    endless: bool = True


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that answers give.

    Args:
        name: Of its row.
        count: Makes it of the questions of a round and their answers.
    """

    name: str
    count: Callable[[Sequence[Question], Sequence[Answer]], float]


@dataclass(frozen=True, slots=True)
class Measurement:
    """Questions of each round, and the figures that come of them."""

    rounds: list[list[Question]]
    figures: tuple[Figure, ...]


def decode_rate(questions: Sequence[Question], answers: Sequence[Answer]) -> float:
    """Tokens a second from the first on, which is the prompt's."""
    firsts = sum(len(question.prompts) for question in questions)
    tokens = sum(answer.tokens for answer in answers) - firsts
    return tokens / sum(answer.total - answer.first for answer in answers)


def prefill_rate(questions: Sequence[Question], answers: Sequence[Answer]) -> float:
    """Tokens of prompts a second."""
    tokens = sum(len(prompt) for question in questions for prompt in question.prompts)
    return tokens / sum(answer.first for answer in answers)


def answer_rate(_: Sequence[Question], answers: Sequence[Answer]) -> float:
    """Tokens a second of whole answers, the reading of the prompt included."""
    return sum(answer.tokens for answer in answers) / sum(answer.total for answer in answers)


class Questioner:
    """Makes the questions of a model.

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
        """The questions of a row; None when the model cannot take them."""
        short = self._quick
        if name == "decode-1":
            questions = self._random(name, 1, 128, 64 if short else 128)
            return Measurement(questions, (Figure("decode 1", decode_rate),))
        if name == "decode-8":  # so short that all begin in one step, and none waits meanwhile
            questions = self._random(name, 8, 16, 48 if short else 96)
            return Measurement(questions, (Figure("decode 8", decode_rate),))
        if name == "prefill-512":
            questions = self._random(name, 1, 512, 2)
            return Measurement(questions, (Figure("prefill 512", prefill_rate),))
        if name == "prompts":
            figures = Figure("prompts", decode_rate), Figure("prompts, whole answers", answer_rate)
            return Measurement(self._project(64 if short else 128), figures)
        generate = 32
        length = min(LENGTHS[name], self._context - generate)
        if length < LENGTHS[name] - generate:
            return None
        label = f"{LENGTHS[name] // 1024}k tokens"
        figures = (
            Figure(f"decode after {label}", decode_rate),
            Figure(f"prefill of {label}", prefill_rate),
        )
        return Measurement(self._random(name, 1, length, generate), figures)

    def warm_up(self, guesses: bool) -> list[Question]:
        """One of each kind of pass; for engines that guess, texts in which they can."""
        few = self._random("warm-up", 1, min(512, self._context - 16), 16)[0]
        if guesses:
            return few + [Question([self._ids_of(f"loop {n}", 16) * 8], 48) for n in range(3)]
        return few + self._random("warm-up", 8, 16, 8)[0]

    def first(self, turn: int, length: int, generate: int) -> Question:
        """A question for a fresh process."""
        return Question([self._ids_of(f"{START} {turn}", length)], generate)

    def _random(self, name: str, count: int, length: int, generate: int) -> list[list[Question]]:
        """New random tokens each round, so that no engine finds them in a cache."""
        return [
            [Question([self._ids_of(f"{name} {r} {n}", length) for n in range(count)], generate)]
            for r in range(self._rounds)
        ]

    def _ids_of(self, seed: str, length: int) -> list[int]:
        return random.Random(seed).choices(self._ids, k=length)

    def _project(self, generate: int) -> list[list[Question]]:
        """The prompts of benchmarks/prompts, all kinds in each round, none twice."""
        files = sorted(PROMPTS.glob("*.txt"))
        kinds = [path.read_text(encoding="utf-8").strip().split("\n---\n") for path in files]
        each = 1 if self._quick else len(kinds[0])
        texts = [kind[place] for place in range(each) for kind in kinds]
        questions = []
        for text in texts:
            if self._tokenizer.has_chat_template:
                ids = self._tokenizer.encode_chat([{"role": "user", "content": text}])
            else:
                ids = self._tokenizer.encode(text)
            questions.append(Question([ids[-(self._context - generate) :]], generate, False))
        rounds = min(self._rounds, len(questions))
        size = len(questions) / rounds
        return [questions[int(r * size) : int((r + 1) * size)] for r in range(rounds)]


def start_rows(
    seconds: Mapping[str, Sequence[float]], memory: Mapping[str, Sequence[Mapping[str, int]]]
) -> list[tuple[str, str, dict[str, list[float]]]]:
    """Name, unit and figures of what fresh processes show."""
    rows = [("cold start", SECONDS, {name: list(spent) for name, spent in seconds.items()})]
    for kind in ("resident", "anonymous"):
        sizes = {name: [p[kind] / 1e6 for p in peaks] for name, peaks in memory.items()}
        rows.append((f"peak {kind} memory", MEGABYTES, sizes))
    return rows
