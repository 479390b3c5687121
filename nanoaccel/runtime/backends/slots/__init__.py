"""For runtimes whose attention wants each sequence in one piece, whatever the engine's blocks."""

from nanoaccel.runtime.backends.slots.memory import CacheTensor, SlotMemory
from nanoaccel.runtime.backends.slots.slotted import Slotted

__all__ = ["CacheTensor", "SlotMemory", "Slotted"]
