"""The memory behind recurrent states, in the form in which a tier knows that of blocks."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.kv.block_pool import BlockId


class StateBytes(Protocol):
    """States as bytes; a backend is one."""

    @property
    def state_bytes(self) -> int:
        """Bytes of a state, all layers."""
        ...

    def read_state(self, slot: int, out: NDArray[np.uint8]) -> None:
        """Copy a state into ``out`` u8[state_bytes]."""
        ...

    def write_state(self, slot: int, data: NDArray[np.uint8]) -> None:
        """Replace a state by ``data`` u8[state_bytes]."""
        ...


class StateMemory:
    """A ``BlockMemory`` whose blocks are states.

    Args:
        states: Holds them.
    """

    def __init__(self, states: StateBytes) -> None:
        self._states = states

    @property
    def block_bytes(self) -> int:
        """As ``BlockMemory``."""
        return self._states.state_bytes

    def read_block(self, block: BlockId, out: NDArray[np.uint8]) -> None:
        """As ``BlockMemory``."""
        self._states.read_state(block, out)

    def write_block(self, block: BlockId, data: NDArray[np.uint8]) -> None:
        """As ``BlockMemory``."""
        self._states.write_state(block, data)
