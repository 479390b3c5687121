"""What a drafter's guesses cost, and when to try one that does not promise to pay."""

from __future__ import annotations

_GAIN = 0.1
_MOST_SURPRISE = 2.0
# Steps from one attempt to the next, at first and at most.
_SOON = 16
_LATE = 128


class DraftCost:
    """Seconds of one guess for each of some requests, which a drafter makes together.

    A running mean for about 1, 2, 4, 8, ... requests.
    """

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def observe(self, requests: int, guesses: int, seconds: float) -> None:
        """Learn from a draft.

        Args:
            requests: For which it was.
            guesses: Of the longest of them, 1 or more.
            seconds: In all.
        """
        each = seconds / guesses
        size = requests.bit_length()
        known = self._seconds.get(size)
        if known is None:
            self._seconds[size] = each
        else:
            self._seconds[size] += _GAIN * (min(each, _MOST_SURPRISE * known) - known)

    def seconds(self, requests: int) -> float:
        """Expected; 0 when nothing is known, so that it is tried."""
        if not self._seconds:
            return 0.0
        size = requests.bit_length()
        nearest = min(self._seconds, key=lambda known: abs(known - size))
        return self._seconds[nearest]


class Probe:
    """Lets a drafter try now and then: after 16 steps, then after 32, and so on to 128."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """It pays again."""
        self._wait = self._left = _SOON

    def due(self) -> bool:
        """Whether to try in this step; call it once in each step that it does not pay."""
        self._left -= 1
        if self._left > 0:
            return False
        self._wait = min(2 * self._wait, _LATE)
        self._left = self._wait
        return True
