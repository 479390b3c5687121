"""Rotary factors of short and of long texts in one graph (LongRoPE, Ding et al. 2024).

All tokens of a text are rotated by its short factors while it is short, and by its long ones when
it is longer. A pass has texts of both kinds, so a graph tells them apart by positions: those of a
long text are given with an offset, which no position of a short one reaches.

    position          0 ... border - 1        offset ... offset + context - 1
    is rotated as     itself, short factors   less the offset, long factors
"""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.errors import BundleDamagedError

# Where graphs say so: of OpenVINO as runtime information, of ONNX as metadata.
RUNTIME_INFO = ["nanoaccel", "long_factors"]
METADATA = "nanoaccel.long_factors"


@dataclass(frozen=True, slots=True)
class LongFactors:
    """How a graph is told which texts are long.

    Args:
        border: Tokens of the longest text that is short.
        offset: What is added to positions of a long one, ``border`` or more.
    """

    border: int
    offset: int

    def shift(self, length: int) -> int:
        """What is added to the positions of a text of so many tokens.

        >>> factors = LongFactors(border=4096, offset=131072)
        >>> factors.shift(4096), factors.shift(4097)
        (0, 131072)
        """
        return self.offset if length > self.border else 0

    def __str__(self) -> str:
        return f"{self.border},{self.offset}"

    @classmethod
    def parse(cls, text: str) -> LongFactors:
        """The inverse of ``str``.

        Raises:
            BundleDamagedError: It is something else.

        >>> LongFactors.parse("4096,131072")
        LongFactors(border=4096, offset=131072)
        """
        try:
            border, offset = map(int, text.split(","))
        except ValueError as error:
            raise BundleDamagedError(
                f"a graph says long_factors={text!r}, which are no border and offset",
                "Export the model again",
            ) from error
        return cls(border, offset)


def position_shift(factors: LongFactors | None, length: int) -> int:
    """What is added to the positions of a text of so many tokens; nothing where all are alike.

    Args:
        factors: How the graph is told which texts are long; None where it tells none apart.
        length: Tokens.
    """
    return 0 if factors is None else factors.shift(length)
