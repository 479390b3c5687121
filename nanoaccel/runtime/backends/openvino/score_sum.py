"""Adds up the attention scores that the layers give."""

from __future__ import annotations

import numpy as np
import openvino as ov

from nanoaccel.runtime.types.plan import Float32Array


class ScoreSum:
    """The sum over layers, in memory that every step reuses.

    Args:
        indices: Numbers of the outputs with scores, one a layer.
    """

    def __init__(self, indices: list[int]) -> None:
        self._places = indices
        self._memory = np.empty(0, np.float32)

    def of(self, request: ov.InferRequest) -> Float32Array:
        """f32[S] of the step that ran last; valid until the next call."""
        first, *others = self._places
        scores = request.get_output_tensor(first).data
        if len(scores) > len(self._memory):
            self._memory = np.empty(2 * len(scores), np.float32)
        total = self._memory[: len(scores)]
        total[...] = scores
        for index in others:
            total += request.get_output_tensor(index).data
        return total
