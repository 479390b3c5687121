"""Keeps the beginnings of prompts: instructions that many requests share stand there."""

from __future__ import annotations


class Beginnings:
    def __init__(self) -> None:
        self._clock = 0.0

    def priority(self, uses: int, depth: int) -> float:
        return self._clock + uses / depth

    def evicted(self, priority: float) -> None:
        self._clock = max(self._clock, priority)
