"""A row of a memory without block tables, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from nanoaccel.runtime.kv.slot_tree import SlotNode


@dataclass(slots=True, eq=False)
class Slot:
    """A row of the memory.

    Args:
        index: Index of the slot.
        root: What its first block continues.
        count: Blocks in use, from its first on.
        written: Blocks that may have memory behind them; ``count`` or more.
        nodes: What its first blocks hold, as far as others can find it.
        taken: Whether a sequence lies in it.
        dropped: Whether that has dropped blocks.
        priority: What its content is worth to the policy, since it was left.
        rank: When it was left, as a number that grows.
    """

    index: int
    root: SlotNode
    count: int = 0
    written: int = 0
    nodes: list[SlotNode] = field(default_factory=list)
    taken: bool = False
    dropped: bool = False
    priority: float = 0.0
    rank: int = 0

    @property
    def last(self) -> SlotNode:
        """What its next full block continues."""
        return self.nodes[-1] if self.nodes else self.root
