"""What a drafter's draft tokens cost, and when to try one that is not expected to pay."""

from __future__ import annotations

from dataclasses import dataclass

# Other programs and page faults make some drafts longer, nothing makes one shorter: what was
# quicker than expected is believed sooner.
_GAIN = 0.1
_QUICKER_GAIN = 0.5
# One more token, against the first one, before there was a second: little, so that it is tried.
_HOPED = 0.4
_MOST_SURPRISE = 1.5
# Tokens that a drafter is behind in the run of things: what they cost belongs to its draft tokens.
NEAR = 16
# Steps from one attempt to the next, at first and at most.
_SOON = 4
_LATE = 128


@dataclass(frozen=True, slots=True)
class DraftTokenCost:
    """Seconds to make draft tokens in a row.

    Args:
        first: For the first one. What the draft needs was driven out of the caches by the target.
        more: For each one more.
    """

    first: float = 0.0
    more: float = 0.0

    def seconds(self, count: int) -> float:
        """Seconds of so many draft tokens."""
        return self.first + (count - 1) * self.more if count > 0 else 0.0

    def shared(self, requests: int) -> DraftTokenCost:
        """The share of each of some requests, where tokens are drafted for all of them together."""
        return DraftTokenCost(self.first / requests, self.more / requests)

    def moved(self, count: int, seconds: float) -> DraftTokenCost:
        """A little closer to what a draft took (normalized least mean squares)."""
        expected = self.seconds(count)
        surprise = min(seconds, _MOST_SURPRISE * expected) - expected
        gain = _GAIN if surprise > 0 else _QUICKER_GAIN
        step = gain * surprise / (1 + (count - 1) ** 2)
        first = max(0.0, self.first + step)
        return DraftTokenCost(first, min(max(0.0, self.more + step * (count - 1)), first))


class DraftCost:
    """What the draft tokens cost that a drafter makes for some requests together.

    Learned for about 1, 2, 4, 8, ... requests. Apart from that, seconds to read a token of a text
    that it is far behind on: a prompt, or what was written while it was not asked.
    """

    def __init__(self) -> None:
        self._costs: dict[int, DraftTokenCost] = {}
        self._reading: float | None = None
        self._longest = 0

    @property
    def is_known(self) -> bool:
        """Whether any draft was observed."""
        return bool(self._costs) or self._reading is not None

    def observe(self, requests: int, num_drafts: int, lag: int, seconds: float) -> None:
        """Learn from a draft.

        Args:
            requests: For which it was.
            num_drafts: Draft tokens of the longest of them.
            lag: Tokens that were read first, of the request that was farthest behind.
            seconds: In all.
        """
        if lag > NEAR:
            reading = max(0.0, seconds - self.per_token(requests).seconds(num_drafts)) / lag
            known = reading if self._reading is None else self._reading
            gain = _GAIN if reading > known else _QUICKER_GAIN
            self._reading = known + gain * (min(reading, _MOST_SURPRISE * known) - known)
            self._longest = max(self._longest, lag)
        elif num_drafts > 0:
            size = requests.bit_length()
            if size in self._costs:
                self._costs[size] = self._costs[size].moved(num_drafts, seconds)
            else:
                each = seconds / num_drafts
                self._costs[size] = DraftTokenCost(each, _HOPED * each if num_drafts == 1 else each)

    def per_token(self, requests: int) -> DraftTokenCost:
        """For each of so many requests; nothing when nothing is known, so that it is tried."""
        if not self._costs:
            return DraftTokenCost()
        size = requests.bit_length()
        nearest = min(self._costs, key=lambda known: abs(known - size))
        return self._costs[nearest]

    def reading(self, lag: int) -> float:
        """Seconds to catch up, expected; 0 when nothing is known, or nothing is to be read."""
        if lag <= NEAR or self._reading is None:
            return 0.0
        return self._reading * min(lag, self._longest)


class Probe:
    """Lets a drafter try now and then: after 4 steps, then after 8, and so on to 128."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """It pays again."""
        self._wait = _SOON
        self._left: float = _SOON

    def due(self, requests: int = 1) -> bool:
        """Whether to try in this step; call it once in each step that it does not pay.

        Args:
            requests: Those that write in it: each of so many tries that much more seldom.
        """
        self._left -= 1 / requests
        if self._left > 0:
            return False
        self._wait = min(2 * self._wait, _LATE)
        self._left = self._wait
        return True
