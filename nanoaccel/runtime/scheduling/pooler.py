"""Makes an embedding of a prompt's states, read step by step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import GenerationError
from nanoaccel.runtime.types.plan import Float32Array
from nanoaccel.runtime.types.pooling import Pooling


class Pooler:
    """Keeps the sum of the states that are wanted, and none of them.

    Args:
        pooling: How they become one vector.
        num_tokens: Tokens of the prompt, 1 or more.

    Attributes:
        pooling: As given.
        num_read: Tokens that were read, or are passed over.
    """

    def __init__(self, pooling: Pooling, num_tokens: int) -> None:
        self.num_read = num_tokens - 1 if pooling.kind == "last" else 0
        self.pooling = pooling
        self._num_tokens = num_tokens
        self._num_summed = num_tokens - self.num_read
        self._sum: NDArray[np.float64] | None = None

    def num_wanted(self, start: int, end: int) -> int:
        """Tokens among ``start:end`` whose states are to be read: the last ones."""
        return max(0, end - max(start, self.num_read))

    def read(self, states: Float32Array) -> None:
        """Read the states f32[r, H] of the next r tokens."""
        total = states.sum(axis=0, dtype=np.float64)
        self._sum = total if self._sum is None else self._sum + total
        self.num_read += len(states)

    def embedding(self) -> Float32Array | None:
        """The vector f32[H or less]; None as long as something is left to be read.

        Raises:
            GenerationError: The states are not numbers, or have no length to be made 1.
        """
        if self._sum is None or self.num_read < self._num_tokens:
            return None
        vector = (self._sum / self._num_summed)[: self.pooling.dimensions]
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or (self.pooling.normalize and length == 0):
            raise GenerationError(
                f"the model gave states that make no embedding (their length is {length})",
                "Run it with inference precision f32, or export the model again",
            )
        if self.pooling.normalize:
            vector /= length
        return vector.astype(np.float32)
