"""Recurrent states: what layers keep of a text beside keys and values, at one size for any length.

slots      places for states, and how many hold on to each
borders    behind which tokens of a pass a state is kept
memory     their bytes, for the disk tier
states     which states each sequence goes on from, and which can be found again
"""

from nanoaccel.runtime.kv.recurrent.memory import StateMemory
from nanoaccel.runtime.kv.recurrent.states import RecurrentStates

__all__ = ["RecurrentStates", "StateMemory"]
