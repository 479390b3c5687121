"""For runtimes whose attention wants each sequence in one piece, whatever the engine's blocks."""

from nanoaccel.runtime.backends.slots.cache_ports import CachePorts
from nanoaccel.runtime.backends.slots.memory import CacheTensor, SlotMemory
from nanoaccel.runtime.backends.slots.slotted import Slotted

__all__ = ["CachePorts", "CacheTensor", "SlotMemory", "Slotted"]
