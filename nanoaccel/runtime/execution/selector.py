"""Which of several graphs of one model runs now: pure policy, from what passes take in each."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.runtime.execution.pass_time import PassTimeModel
from nanoaccel.runtime.scheduling.load import Load

# Tokens that a request is expected to write; few know how many theirs will.
EXPECTED_TOKENS = 128
# A graph that is nowhere this much faster than another is not worth its memory.
LEAST_GAIN = 0.03


def request_seconds(times: PassTimeModel, count: int, prompt_tokens: int) -> float:
    """Seconds until ``count`` requests, with so many tokens to compute, are written."""
    return prompt_tokens * times.prompt_token + EXPECTED_TOKENS * times.decode_seconds(count)


def worth_keeping(times: Sequence[PassTimeModel]) -> list[int]:
    """The graphs that are the fastest at something, best for a single request first."""
    counts = sorted({count for one in times for count in one.decode})
    order = sorted(range(len(times)), key=lambda index: times[index].decode_seconds(1))
    kept: list[int] = []
    for index in order:
        gains = (
            min((times[other].decode_seconds(count) for other in kept), default=float("inf"))
            > (1 + LEAST_GAIN) * times[index].decode_seconds(count)
            for count in counts
        )
        if any(gains):
            kept.append(index)
    return kept


class GraphSelector:
    """Follows the load from graph to graph.

    When nothing is computed yet, requests go where they are done soonest. Else a move costs
    computing their tokens again, so it is made once as much time has been lost by staying (the
    rent-or-buy rule: never more than twice what the best choice in hindsight costs), or when
    prompts are waiting that would be computed so much sooner, even if what follows them is written
    more slowly.

    Args:
        times: Pass times of each graph.

    Attributes:
        current: Index of the graph that runs.
    """

    def __init__(self, times: Sequence[PassTimeModel]) -> None:
        self._times = times
        self._lost = [0.0] * len(times)
        self.current = min(range(len(times)), key=lambda index: times[index].decode_seconds(1))

    def choose(self, load: Load) -> int:
        """Index of the graph for the next step of one or more requests."""
        if load.computed == 0:
            ends = [request_seconds(times, load.requests, load.pending) for times in self._times]
            return self._move(ends.index(min(ends)))
        here = self._times[self.current]
        gains = []
        for index, times in enumerate(self._times):
            saved = here.decode_seconds(load.requests) - times.decode_seconds(load.requests)
            self._lost[index] = max(0.0, self._lost[index] + saved)
            sooner = load.pending * (here.prompt_token - times.prompt_token)
            later = EXPECTED_TOKENS * min(0.0, saved)  # what is computed there is written there
            again = load.computed * times.prompt_token
            gains.append(self._lost[index] + sooner + later - again)
        gains[self.current] = 0.0
        return self._move(gains.index(max(gains)))

    def _move(self, index: int) -> int:
        if index != self.current:
            self.current = index
            self._lost = [0.0] * len(self._lost)
        return index
