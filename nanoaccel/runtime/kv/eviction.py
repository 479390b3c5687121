"""Which cached block goes first when a new one is needed."""

from __future__ import annotations

from typing import Protocol

# The context, in tokens, at which attention costs as much as the matrix products of its layer:
# 4 * width * context operations against 2 * parameters. That is 3,100 for a Llama of 135M
# parameters and 10,700 for one of 1.1B; between them, as their ratio goes.
ATTENTION_SCALE = 6144


class EvictionPolicy(Protocol):
    """Sets the order in which unowned blocks go; one object for each cache.

    Whatever it says, a block goes after the blocks that continue it, which nobody could find
    without it. Of two with equal priority, the one left first goes first; of one sequence that
    is its deepest.
    """

    def priority(self, uses: int, depth: int) -> float:
        """What a block is worth, asked when its last owner leaves it; the lowest goes first.

        Args:
            uses: Sequences that have used it, the one that computed it included; 1 or more.
            depth: Tokens of the prefix that ends with it.
        """
        ...

    def evicted(self, priority: float) -> None:
        """Learn the priority of a block that went, to age the others by."""
        ...


class EvictionPolicyFactory(Protocol):
    """What is registered under a policy's name: mostly its class."""

    def __call__(self) -> EvictionPolicy:
        """Make the policy of a cache."""
        ...


class LeastRecentlyUsed:
    """The block left first goes first: all are worth the same."""

    def priority(self, uses: int, depth: int) -> float:  # noqa: ARG002 - the interface
        """See ``EvictionPolicy``."""
        return 0.0

    def evicted(self, priority: float) -> None:
        """See ``EvictionPolicy``."""


class _Aged:
    """A clock that says how much the last victims were worth; it starts newcomers off equal."""

    def __init__(self) -> None:
        self._clock = 0.0

    def evicted(self, priority: float) -> None:
        """See ``EvictionPolicy``."""
        self._clock = max(self._clock, priority)


class LeastFrequentlyUsed(_Aged):
    """The block used least often goes first, and old favourites die.

    LFU with dynamic ageing (Arlitt et al. 2000, "Evaluating content management techniques for
    Web proxy caches"): the clock plus the number of uses.
    """

    def priority(self, uses: int, depth: int) -> float:  # noqa: ARG002 - the interface
        """See ``EvictionPolicy``."""
        return self._clock + uses


class CheapestToCompute(_Aged):
    """The block goes first whose uses saved the least computation.

    GreedyDual-Size-Frequency (Cherkasova 1998) for prefixes (RAGCache, Jin et al. 2024): the clock
    plus uses times the cost of a token. Blocks are of one size, and a token costs more the longer
    the context it attends to.
    """

    def priority(self, uses: int, depth: int) -> float:
        """See ``EvictionPolicy``."""
        return self._clock + uses * (1.0 + depth / ATTENTION_SCALE)
