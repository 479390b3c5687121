"""Forbids that a run of tokens stands twice in a text (Paulus et al. 2017)."""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.sampling.plugged import ProcessorOptions


class NoRepeat:
    def __init__(self, options: ProcessorOptions) -> None:
        self._size = options.values.get("size", 3)
        if not isinstance(self._size, int) or self._size < 2:
            raise ValueError(f"size={self._size!r} is no number of tokens from 2 on")
        self._text = list(options.prompt_ids)

    def apply(self, row: NDArray[np.float32], position: int) -> None:
        before = self._size - 1
        end = self._text[-before:]
        for start in range(len(self._text) - before):
            if self._text[start : start + before] == end:
                row[self._text[start + before]] = -np.inf

    def accept(self, token_id: int) -> None:
        self._text.append(token_id)

    def copy(self) -> NoRepeat:
        twin = copy(self)
        twin._text = list(self._text)
        return twin
