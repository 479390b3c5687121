"""What a step is, and what draft tokens would bring to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepShape:
    """A step as it would be without draft tokens.

    Args:
        writers: Requests that get a token from it, 1 or more.
        tokens: Tokens that go through the graph; more than ``writers`` when prompts are among them.
    """

    writers: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Goodput:
    """What draft tokens for one request would bring.

    Args:
        count: Draft tokens that are best, 0 when none pay.
        rate: Tokens a second of all requests, with them.
        plain: Tokens a second without any.
    """

    count: int
    rate: float
    plain: float = 0.0

    def saving(self, rival: float) -> float:
        """Seconds a token, against plain decoding or against other draft tokens at this rate."""
        other = max(self.plain, rival)
        return 1 / other - 1 / self.rate if other > 0 else 0.0


@dataclass(frozen=True, slots=True)
class StepSavings:
    """What a step with draft tokens is measured by, in seconds.

    Args:
        token: What a token takes in plain decoding.
        row: What a row of logits took in this step.
    """

    token: float = 0.0
    row: float = 0.0
