"""Behind which tokens of a pass a state is kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kept:
    """Lengths of a sequence whose states a pass leaves: every ``interval`` tokens, and at its end.

    Args:
        begin: Tokens before the pass.
        end: Tokens behind it.
        interval: Tokens from one to the next.
        offset: Tokens that the first is nearer than that, 0 to interval - 1.
    """

    begin: int
    end: int
    interval: int
    offset: int = 0

    @property
    def lengths(self) -> list[int]:
        """Them, rising; the last is ``end``."""
        first = self.begin + self.interval - self.offset
        return [*range(first, self.end, self.interval), self.end]

    def cut(self, end: int) -> Kept:
        """Of a pass over fewer tokens; which of its states are kept stays as it was."""
        assert end in self.lengths
        return Kept(self.begin, end, self.interval, self.offset)


def at_end(begin: int, end: int) -> Kept:
    """The end alone."""
    return Kept(begin, end, end - begin)


def behind_each(begin: int, end: int) -> Kept:
    """Each token."""
    return Kept(begin, end, 1)


def at_borders(begin: int, end: int, last: int, interval: int) -> Kept:
    """Borders ``interval`` apart, of which ``last`` is one, and the end.

    Args:
        begin: Tokens before the pass.
        end: Tokens behind it.
        last: The last border that is wanted.
        interval: Tokens between two of them.
    """
    if last <= begin:
        return at_end(begin, end)
    first = last - (last - begin - 1) // interval * interval
    if first >= end:
        return at_end(begin, end)
    return Kept(begin, end, interval, interval - (first - begin))


def around(begin: int, middle: int, end: int) -> Kept:
    """A length in the pass, and the end."""
    wide = max(middle - begin, end - middle)
    return Kept(begin, end, wide, wide - (middle - begin))


def at_last_border(begin: int, end: int, last: int, interval: int) -> Kept:
    """The last of these borders in the pass, and the end: for want of room for more."""
    reached = last - max(0, -(-(last - end) // interval)) * interval
    if not begin < reached < end:
        return at_end(begin, end)
    return around(begin, reached, end)
