"""Arrays as long as the vocabulary that every call reuses."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray


class Scratch(threading.local):
    """One set of arrays for each thread; what they hold lasts until the next call that asks.

    A fresh array of 200 kB or more for each token would cost page faults.
    """

    def __init__(self) -> None:
        self._weights = np.empty(0, np.float32)
        self._raw = np.empty(0, np.float32)
        self._mask = np.empty(0, np.bool_)

    def weights(self, size: int) -> NDArray[np.float32]:
        """f32[size] for the exponentials of a row."""
        if self._weights.size < size:
            self._weights = np.empty(size, np.float32)
        return self._weights[:size]

    def raw(self, size: int) -> NDArray[np.float32]:
        """f32[size] for a row as the model gave it."""
        if self._raw.size < size:
            self._raw = np.empty(size, np.float32)
        return self._raw[:size]

    def mask(self, size: int) -> NDArray[np.bool_]:
        """bool[size] for a comparison."""
        if self._mask.size < size:
            self._mask = np.empty(size, np.bool_)
        return self._mask[:size]


scratch = Scratch()
