"""Random numbers that depend on a seed and a position, and on nothing else."""

from __future__ import annotations

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def uniform(seed: int, position: int) -> float:
    """The random number in [0, 1) that belongs to a position of a text.

    It keeps no state: whatever else runs, and however often a token is drawn again after a
    preemption, the same seed and position give the same number.

    The method is SplitMix64 (Steele, Lea and Flood 2014): the scrambled seed is where a sequence
    with a fixed step begins, the position counts the steps, and the finaliser scrambles the sum.

    Args:
        seed: Any integer; seeds that agree in their lowest 64 bits are the same.
        position: Tokens generated before this one.
    """
    start = _scramble((seed + _GOLDEN) & _MASK)
    return (_scramble((start + (position + 1) * _GOLDEN) & _MASK) >> 11) * 2.0**-53


def _scramble(bits: int) -> int:
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)
