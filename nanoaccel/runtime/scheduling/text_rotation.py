"""How the tokens of a request are rotated, where that depends on the length of its text."""

from __future__ import annotations

from nanoaccel.bundle.long_factors import LongFactors, position_shift

_LONG = b"long"


class TextRotation:
    """Whether a text is rotated as a short one or as a long one, as its known tokens say.

    What is computed of a short text is of no use once it is long.

    Args:
        factors: How the graph is told which texts are long; None where all are alike.
    """

    def __init__(self, factors: LongFactors | None) -> None:
        self._factors = factors
        self._begun_short = False

    def shift(self, length: int) -> int:
        """What is added to the positions of a text of so many tokens."""
        return position_shift(self._factors, length)

    def cache_key(self, length: int) -> bytes:
        """What the keys of cached blocks of such a text begin with."""
        return _LONG if self.shift(length) > 0 else b""

    def begin(self, length: int) -> None:
        """Note that such a text is computed from now on."""
        self._begun_short = self.shift(length) == 0

    def forget(self) -> None:
        """Note that nothing of the text is computed any more."""
        self._begun_short = False

    def is_outgrown(self, length: int) -> bool:
        """Whether what is computed is of no use for a text that has so many tokens by now."""
        return self._begun_short and self.shift(length) > 0

    def room(self, length: int) -> int | None:
        """Tokens that may follow such a text and are computed with it; None: any."""
        if self._factors is None or self.shift(length) > 0:
            return None
        return self._factors.border - length
