"""What is asked of an engine: requests, when they come, and how many may run at once."""

from __future__ import annotations

import math
import random
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
class Ask:
    """One request, greedy, that generates exactly what it is told to.

    Args:
        at: When it comes, in seconds from the start of the load.
        prompt: Its tokens.
        generate: Tokens to generate.
        background: Cancelled when all others have ended.
    """

    at: float
    prompt: list[int]
    generate: int
    background: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """Requests in the order in which they come.

    Args:
        asks: The requests.
        slots: Requests that are open at once at most, a new one comes when one ends; None is no
            limit.
    """

    asks: list[Ask]
    slots: int | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(found: dict[str, Any]) -> Load:
        return Load([Ask(**ask) for ask in found["asks"]], found["slots"])


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
    asks = []
    for _ in range(requests):
        asks.append(_mixed(source, at))
        at += source.expovariate(rate)
    return Load(asks)


def decoding(seed: int, *, disturbed: bool) -> Load:
    """A few requests that decode; if ``disturbed``, a long prompt comes beside them each second."""
    source = random.Random(f"decoding {seed}")
    asks = [
        Ask(0.0, random_tokens(source, _DECODING_PROMPT), GENERATED)
        for _ in range(_DECODING_REQUESTS)
    ]
    if disturbed:
        asks += [
            Ask(float(second), random_tokens(source, _LONG_PROMPT), _LONG_GENERATED, True)
            for second in range(_LONG_SECONDS)
        ]
    return Load(asks)


def single(prompt: list[int]) -> Load:
    """One request for one token."""
    return Load([Ask(0.0, prompt, 1)])


def _mixed(source: random.Random, at: float) -> Ask:
    """A request whose prompt's length is log-uniform."""
    shortest, longest = _LENGTHS
    length = round(math.exp(source.uniform(math.log(shortest), math.log(longest))))
    return Ask(at, random_tokens(source, length), GENERATED)
