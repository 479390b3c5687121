"""When drafters are not asked: that takes time too."""

from __future__ import annotations

# Requests that write together; where there are fewer, drafters are asked in each step.
_MANY = 4
_LONGEST = 4  # steps


class Rest:
    """Leaves out steps of many requests after none of their draft tokens was worth checking.

    One step is left out at first, then two, and so on to four: asking takes time for each request,
    and a text that begins to repeat itself does so for many tokens.
    """

    def __init__(self) -> None:
        self._length = 0
        self._left = 0

    def due(self, writers: int) -> bool:
        """Whether to leave out this step; call it once in each.

        Args:
            writers: Requests that get a token from it.
        """
        if writers < _MANY:
            self._length = self._left = 0
        if self._left == 0:
            return False
        self._left -= 1
        return True

    def note(self, worthwhile: bool) -> None:
        """Note whether any draft token of a step was worth checking."""
        self._length = 0 if worthwhile else min(_LONGEST, self._length + 1)
        self._left = self._length
