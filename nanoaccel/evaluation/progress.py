"""How a listener hears how far something is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Listener: TypeAlias = Callable[[str], None]


def in_tenths(tell: Listener, what: str) -> Callable[[float], None]:
    """Tells a listener each further tenth of something.

    Args:
        tell: Called with lines such as "comparing: 30%".
        what: What is being done.
    """
    told = -1

    def progress(done: float) -> None:
        nonlocal told
        if int(done * 10) > told:
            told = int(done * 10)
            tell(f"{what}: {told * 10}%")

    return progress


def tell_nobody(_: str) -> None:
    """A listener that hears and does nothing."""
