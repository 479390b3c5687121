"""How many tokens a step may have: learned from what steps have cost."""

from __future__ import annotations

from typing import Protocol

# Prompts may make a step at most this many times as long as its decodes alone. Less would let
# prompts crawl: on CPUs a pass over 16 tokens takes about twice as long as one over a single token.
SLOWDOWN = 2.5
# When more prompts wait than requests decode, the step may last longer in proportion, as its
# decodes are the few that keep the many waiting. No more prompts than these count: eight decodes or
# more are not slowed down further.
CROWD = 8
# Prompt tokens that a step has room for in any case, so that prompts always go on.
MIN_CHUNK = 8
# The same, as long as nothing is known about this machine.
FIRST_CHUNK = 16


class PassTime(Protocol):
    """How long a pass through the graph takes, by its tokens."""

    def seconds(self, tokens: int) -> float | None:
        """Seconds of a pass over 1 or more tokens; None before anything is known."""

    def tokens_within(self, seconds: float) -> int | None:
        """The most tokens of a pass within ``seconds``; None before anything is known."""


class StepBudget:
    """Chooses how many tokens a step may have, so that prompts do not stall those who decode.

    Args:
        cost: What passes cost.
        max_tokens: Tokens in a step at most, whatever they cost.
        target: Seconds that a step with decodes may last; None allows ``SLOWDOWN`` times what
            they take alone, more when they are few and a ``CROWD`` of prompts waits, and all
            where prompts came together with those who decode.
    """

    def __init__(self, cost: PassTime, *, max_tokens: int, target: float | None) -> None:
        self._cost = cost
        self._max_tokens = max_tokens
        self._target = target

    def tokens(self, decodes: int, prompts: int, *, together: bool = False) -> int:
        """Tokens for a step; its decodes and ``MIN_CHUNK`` more always, up to ``max_tokens``.

        Args:
            decodes: Tokens of the requests that decode, mostly one of each.
            prompts: Requests whose prompts wait.
            together: Whether one of them came before any request that decodes had its first token.
                Then all begin soonest, and end soonest, if prompts fill the steps: a token costs
                less in a full one, and small batches at the end are few.
        """
        if decodes == 0 or (together and self._target is None):
            return self._max_tokens
        alone = self._cost.seconds(decodes)
        if alone is None:
            return min(decodes + FIRST_CHUNK, self._max_tokens)
        crowd = max(decodes, min(prompts, CROWD))
        limit = SLOWDOWN * alone * crowd / decodes if self._target is None else self._target
        affordable = self._cost.tokens_within(limit)
        assert affordable is not None, "the cost of the decodes is known"
        return min(max(affordable, decodes + MIN_CHUNK), self._max_tokens)
