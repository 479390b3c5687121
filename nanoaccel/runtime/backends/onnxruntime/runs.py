"""Which sequences of a step go through the graph together: pure policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Places of a padded batch that nobody needs cost copies in every layer. Beyond so many, a pass more
# over the weights costs less.
MOST_PADDING = 128


@dataclass(frozen=True, slots=True)
class Run:
    """Sequences that go through the graph together.

    Args:
        sequences: Their numbers in the step, rising by slot.
        first_slot: The lowest slot.
        num_slots: Slots from there to the highest, idle ones among them.
        longest: The most tokens of a sequence.
    """

    sequences: tuple[int, ...]
    first_slot: int
    num_slots: int
    longest: int


def plan_runs(slots: Sequence[int], counts: Sequence[int]) -> list[Run]:
    """Split a step where padding would cost more than a pass.

    Args:
        slots: Slot of each sequence, all different.
        counts: Tokens of each sequence, 1 or more.
    """
    if len(slots) == 1:
        return [Run((0,), slots[0], 1, counts[0])]
    left = sorted(range(len(slots)), key=lambda sequence: counts[sequence])
    runs = []
    while left:
        together = _together(left, slots, counts)
        runs.append(_run(left[:together], slots, counts))
        left = left[together:]
    return runs


def plan_even_runs(slots: Sequence[int], counts: Sequence[int]) -> list[Run]:
    """Split a step into single tokens of neighbouring slots, and longer pieces each alone.

    For graphs that cannot tell padding from tokens.
    """
    runs = [
        _run([sequence], slots, counts) for sequence in range(len(slots)) if counts[sequence] > 1
    ]
    single = sorted((s for s in range(len(slots)) if counts[s] == 1), key=lambda s: slots[s])
    begin = 0
    for index in range(1, len(single) + 1):
        if index == len(single) or slots[single[index]] != slots[single[index - 1]] + 1:
            runs.append(_run(single[begin:index], slots, counts))
            begin = index
    return runs


def _together(order: Sequence[int], slots: Sequence[int], counts: Sequence[int]) -> int:
    """How many sequences, of rising counts, may share a padded batch; 1 or more."""
    low = high = slots[order[0]]
    tokens, best = 0, 1
    for index, sequence in enumerate(order, 1):
        low, high = min(low, slots[sequence]), max(high, slots[sequence])
        tokens += counts[sequence]
        if (high - low + 1) * counts[sequence] - tokens <= MOST_PADDING:
            best = index
    return best


def _run(chosen: Sequence[int], slots: Sequence[int], counts: Sequence[int]) -> Run:
    order = tuple(sorted(chosen, key=lambda sequence: slots[sequence]))
    first, last = slots[order[0]], slots[order[-1]]
    return Run(order, first, last - first + 1, max(counts[sequence] for sequence in order))
