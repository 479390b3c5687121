"""Which of several graphs of one model runs now: pure policy, from what passes cost in each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nanoaccel.runtime.scheduling.load import Load

# Tokens that a request is expected to write; few know how many theirs will.
EXPECTED_TOKENS = 128
# A graph that is nowhere this much faster than another is not worth its memory.
LEAST_GAIN = 0.03


@dataclass(frozen=True, slots=True)
class Prices:
    """What passes cost on this machine.

    Args:
        rows: Seconds of a pass over one token of each of so many sequences; 1 is among them.
        chunk: Seconds of a token of a prompt.
    """

    rows: Mapping[int, float]
    chunk: float

    def decode(self, count: int) -> float:
        """Seconds of a pass over one token of ``count`` sequences, 1 or more."""
        sizes = sorted(self.rows)
        above = min(max(bisect_left(sizes, count), 1), len(sizes) - 1)
        if above == 0:
            return self.rows[sizes[0]] * count
        low, high = sizes[above - 1], sizes[above]
        slope = (self.rows[high] - self.rows[low]) / (high - low)
        return max(self.rows[low] + slope * (count - low), self.rows[sizes[0]])

    def request(self, count: int, prompt_tokens: int) -> float:
        """Seconds until ``count`` requests, with so many tokens to compute, are written."""
        return prompt_tokens * self.chunk + EXPECTED_TOKENS * self.decode(count)


def worth_keeping(prices: Sequence[Prices]) -> list[int]:
    """The graphs that are the fastest at something, best for a single request first."""
    counts = sorted({count for price in prices for count in price.rows})
    order = sorted(range(len(prices)), key=lambda place: prices[place].decode(1))
    kept: list[int] = []
    for place in order:
        gains = (
            min((prices[other].decode(count) for other in kept), default=float("inf"))
            > (1 + LEAST_GAIN) * prices[place].decode(count)
            for count in counts
        )
        if any(gains):
            kept.append(place)
    return kept


class GraphSelector:
    """Follows the load from graph to graph.

    When nothing is computed yet, requests go where they are done soonest. Else a move costs
    computing their tokens again, so it is made once as much time has been lost by staying (the
    rent-or-buy rule: never more than twice what the best choice in hindsight costs), or when
    prompts are waiting that would be computed so much sooner, even if what follows them is written
    more slowly.

    Args:
        prices: Of each graph.

    Attributes:
        current: The graph that runs.
    """

    def __init__(self, prices: Sequence[Prices]) -> None:
        self._prices = prices
        self._lost = [0.0] * len(prices)
        self.current = min(range(len(prices)), key=lambda place: prices[place].decode(1))

    def choose(self, load: Load) -> int:
        """The graph for the next step of one or more requests."""
        if load.computed == 0:
            costs = [price.request(load.requests, load.pending) for price in self._prices]
            return self._move(costs.index(min(costs)))
        here = self._prices[self.current]
        gains = []
        for place, price in enumerate(self._prices):
            saved = here.decode(load.requests) - price.decode(load.requests)
            self._lost[place] = max(0.0, self._lost[place] + saved)
            sooner = load.pending * (here.chunk - price.chunk)
            later = EXPECTED_TOKENS * min(0.0, saved)  # what is computed there is written there
            gains.append(self._lost[place] + sooner + later - load.computed * price.chunk)
        gains[self.current] = 0.0
        return self._move(gains.index(max(gains)))

    def _move(self, place: int) -> int:
        if place != self.current:
            self.current = place
            self._lost = [0.0] * len(self._lost)
        return place
