"""What backends share whose attention wants each sequence in one piece."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends.slots.memory import CacheTensor, SlotMemory
from nanoaccel.runtime.backends.slots.table import SlotTable
from nanoaccel.runtime.types.plan import StepPlan, StepResult


class Slotted:
    """Blocks to the engine, slots to the runtime; what computes with them is bound in ``_bind``.

    Args:
        tensors: Keys and values of all layers.
        block_size: Tokens of a block.

    Attributes:
        block_bytes: Bytes of a block.
    """

    def __init__(self, tensors: Sequence[CacheTensor], block_size: int) -> None:
        self.block_bytes = block_size * sum(tensor.token_bytes for tensor in tensors)
        self._tensors = tensors
        self._block_size = block_size
        self._table: SlotTable | None = None
        self._bound: SlotMemory | None = None

    @property
    def memory_per_block(self) -> int:
        """Bytes of a block and of its copy in a slot."""
        return 2 * self.block_bytes

    @property
    def precision(self) -> str:
        """Type of the cached numbers, as ``BackendInfo`` names it."""
        name: str = self._tensors[0].dtype.name
        return name.replace("float", "f").replace("int", "i")

    @property
    def described(self) -> str:
        """Tensors and their sizes in words, like "60 x float32[3,32,64]"."""
        first = self._tensors[0]
        return (
            f"{len(self._tensors)} x {first.dtype.name}"
            f"[{first.heads},{self._block_size},{first.width}]"
        )

    def allocate_cache(self, num_blocks: int) -> None:
        """As ``Backend``."""
        try:
            self._table = SlotTable(self._tensors, num_blocks, self._block_size)
        except MemoryError as error:
            raise ConfigError(
                f"{num_blocks * self.memory_per_block} bytes of cache do not fit in memory",
                "Lower kv_cache_memory",
            ) from error

    def forward(self, plan: StepPlan) -> StepResult:
        """As ``Backend``."""
        slots = self._live.place(plan)
        if self._bound is not self._live.memory:
            self._bound = self._live.memory
            self._bind(self._bound)
        result = self._run(plan, slots)
        self._live.keep(plan, slots)
        return result

    def read_block(self, block: int, out: NDArray[np.uint8]) -> None:
        """As ``Backend``."""
        self._live.read(block, out)

    def write_block(self, block: int, data: NDArray[np.uint8]) -> None:
        """As ``Backend``."""
        self._live.write(block, data)

    def _bind(self, memory: SlotMemory) -> None:
        """Let what computes use other slots."""
        raise NotImplementedError

    def _run(self, plan: StepPlan, slots: Sequence[int]) -> StepResult:
        """Compute a step, each sequence in its slot."""
        raise NotImplementedError

    @property
    def _live(self) -> SlotTable:
        assert self._table is not None, "the backend has no cache yet, or is closed"
        return self._table
