"""Places for states, and how many hold on to each."""

from __future__ import annotations

from typing import NewType

StateId = NewType("StateId", int)
# The state of no tokens; nobody writes to it, and it is never given back.
NO_TOKENS = StateId(0)


class StateSlots:
    """Hands out slots 1 to ``capacity``; one is free again when nobody holds it.

    Args:
        capacity: Number of slots.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._holders = [0] * (capacity + 1)
        self._free = [StateId(slot) for slot in range(capacity, 0, -1)]

    @property
    def num_free(self) -> int:
        """Slots that nobody holds."""
        return len(self._free)

    def take(self) -> StateId:
        """A free slot, with one holder; there must be one."""
        slot = self._free.pop()
        self._holders[slot] = 1
        return slot

    def hold(self, slot: StateId) -> None:
        """Add a holder."""
        if slot != NO_TOKENS:
            self._holders[slot] += 1

    def let_go(self, slot: StateId) -> None:
        """Take a holder away."""
        if slot == NO_TOKENS:
            return
        self._holders[slot] -= 1
        assert self._holders[slot] >= 0, "a state was given back twice"
        if self._holders[slot] == 0:
            self._free.append(slot)

    def is_shared(self, slot: StateId) -> bool:
        """Whether several hold it."""
        return self._holders[slot] > 1

    def check_integrity(self, held: list[StateId]) -> None:
        """Assert that each slot is free, or held as often as ``held`` says."""
        counts = [0] * (self.capacity + 1)
        for slot in held:
            counts[slot] += slot != NO_TOKENS
        assert counts == self._holders, "a holder of a state was miscounted"
        free = [slot for slot in range(1, self.capacity + 1) if counts[slot] == 0]
        assert sorted(self._free) == free, "a state was lost"
