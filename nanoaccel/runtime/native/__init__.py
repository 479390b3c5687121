"""The operators of our own, which ``native/`` in the source tree compiles: where they are."""

from nanoaccel.runtime.native.library import Operators, find_operators

__all__ = ["Operators", "find_operators"]
