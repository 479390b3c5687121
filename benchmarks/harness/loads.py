"""What is asked of an engine: requests, when they come, and how many may run at once."""

from __future__ import annotations

import math
import random
import time
from dataclasses import asdict, dataclass
from typing import Any

GENERATED = 128

_TOKEN_IDS = range(1000, 20000)
_LENGTHS = (16, 512)

_DECODING_REQUESTS = 8
_DECODING_PROMPT = 64
_LONG_PROMPT = 1500
_LONG_GENERATED = 16
_LONG_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Request:
    """One request, greedy, that generates exactly what it is told to.

    Args:
        at: When it comes, in seconds from the start of the load.
        prompt: Its tokens.
        max_tokens: Tokens to generate.
        background: Cancelled when all others have ended.
    """

    at: float
    prompt: list[int]
    max_tokens: int
    background: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """Requests in the order in which they come.

    Args:
        requests: The requests.
        slots: Requests that are open at once at most, a new one comes when one ends; None is no
            limit.
    """

    requests: list[Request]
    slots: int | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(found: dict[str, Any]) -> Load:
        return Load([Request(**ask) for ask in found["requests"]], found["slots"])


@dataclass(frozen=True, slots=True)
class Trace:
    """One request as a client saw it; in seconds from the start of the load.

    Args:
        due: When it was asked.
        tokens: When each token came.
    """

    due: float
    tokens: list[float]

    @property
    def first_token(self) -> float:
        """Seconds to the first token."""
        return self.tokens[0] - self.due


class Recorder:
    """The traces of a load that is running."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._begin = time.perf_counter()
        self._due = [request.at for request in load.requests]
        self._tokens: list[list[float]] = [[] for _ in load.requests]

    def now(self) -> float:
        """Seconds since the load began."""
        return time.perf_counter() - self._begin

    def note_start(self, number: int) -> None:
        """A request has its slot; where slots are limited, its time counts from here."""
        if self._load.slots is not None:
            self._due[number] = self.now()

    def note_tokens(self, number: int, count: int) -> None:
        """Tokens of a request have come."""
        self._tokens[number].extend([self.now()] * count)

    def traces(self) -> list[tuple[float, list[float]]]:
        """Fields of each request's ``Trace``.

        Raises:
            SystemExit: A request was not answered in full.
        """
        for request, tokens in zip(self._load.requests, self._tokens, strict=True):
            if len(tokens) != request.max_tokens and not request.background:
                raise SystemExit(
                    f"a request gave {len(tokens)} tokens instead of {request.max_tokens}"
                )
        return list(zip(self._due, self._tokens, strict=True))


def random_tokens(source: random.Random, count: int) -> list[int]:
    """Tokens of a text that nobody has asked before."""
    return source.choices(_TOKEN_IDS, k=count)


def closed_loop(slots: int, requests: int, seed: int) -> Load:
    """Requests of mixed lengths, ``slots`` of them open at any time."""
    source = random.Random(f"closed {slots} {requests} {seed}")
    return Load([_mixed(source, 0.0) for _ in range(requests)], slots)


def poisson(rate: float, requests: int, seed: int) -> Load:
    """Requests of mixed lengths that come at random, ``rate`` a second on average."""
    source = random.Random(f"poisson {rate} {seed}")
    at = 0.0
    coming = []
    for _ in range(requests):
        coming.append(_mixed(source, at))
        at += source.expovariate(rate)
    return Load(coming)


def decoding(seed: int, *, disturbed: bool) -> Load:
    """A few requests that decode; if ``disturbed``, a long prompt comes beside them each second."""
    source = random.Random(f"decoding {seed}")
    requests = [
        Request(0.0, random_tokens(source, _DECODING_PROMPT), GENERATED)
        for _ in range(_DECODING_REQUESTS)
    ]
    if disturbed:
        requests += [
            Request(float(second), random_tokens(source, _LONG_PROMPT), _LONG_GENERATED, True)
            for second in range(_LONG_SECONDS)
        ]
    return Load(requests)


def single(prompt: list[int]) -> Load:
    """One request for one token."""
    return Load([Request(0.0, prompt, 1)])


def _mixed(source: random.Random, at: float) -> Request:
    """A request whose prompt's length is log-uniform."""
    shortest, longest = _LENGTHS
    length = round(math.exp(source.uniform(math.log(shortest), math.log(longest))))
    return Request(at, random_tokens(source, length), GENERATED)
