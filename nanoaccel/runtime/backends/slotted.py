"""What backends with slots share: memory for the cache, and what its accounting does with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends.slot_memory import CacheSlots, CacheTensor
from nanoaccel.runtime.types.plan import StepPlan


class Slotted:
    """A ``kv.SlotMemory``; what computes with it is bound in ``_bind``.

    Args:
        kinds: Keys and values of all layers.
        block_size: Tokens of a block.

    Attributes:
        block_bytes: Bytes of a block.
    """

    def __init__(self, kinds: Sequence[CacheTensor], block_size: int) -> None:
        self.block_bytes = block_size * sum(kind.token_bytes for kind in kinds)
        self._kinds = kinds
        self._block_size = block_size
        self._slots: CacheSlots | None = None

    def allocate_cache(self, num_blocks: int) -> None:
        """As ``Backend``: a single slot."""
        self.allocate_slots(1, num_blocks)

    def allocate_slots(self, num_slots: int, slot_blocks: int) -> None:
        """As ``kv.SlotMemory``."""
        try:
            slots = CacheSlots(self._kinds, num_slots, slot_blocks, self._block_size)
        except MemoryError as error:
            raise ConfigError(
                f"{num_slots} slots of {slot_blocks * self.block_bytes} bytes do not fit in memory",
                "Lower kv_cache_memory or max_running",
            ) from error
        self._slots = slots
        self._bind(slots)

    def read_block(self, block: int, out: NDArray[np.uint8]) -> None:
        """As ``Backend``."""
        self._live.read(block, out)

    def write_block(self, block: int, data: NDArray[np.uint8]) -> None:
        """As ``Backend``."""
        self._live.write(block, data)

    def copy_blocks(self, source: int, target: int, count: int) -> None:
        """As ``kv.SlotMemory``."""
        self._live.copy(source, target, count)

    def discard_blocks(self, first: int, count: int) -> None:
        """As ``kv.SlotMemory``."""
        self._live.discard(first, count)

    def _bind(self, slots: CacheSlots) -> None:
        """Let what computes use that memory."""
        raise NotImplementedError

    def _slots_of(self, plan: StepPlan) -> list[int]:
        """The slot of each sequence of a step."""
        blocks, each = plan.block_ids, self._live.slot_blocks
        return [int(blocks[begin]) // each for begin in plan.block_begins[:-1].tolist()]

    @property
    def _live(self) -> CacheSlots:
        assert self._slots is not None, "the backend has no cache yet, or is closed"
        return self._slots
