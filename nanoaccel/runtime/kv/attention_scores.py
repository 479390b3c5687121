"""How much attention each cached block of a request has drawn so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nanoaccel.runtime.types.plan import Float64Array, Scores


class AttentionScores:
    """Attention summed over all steps of a request, block by block (H2O, Zhang et al. 2023).

    Sums are in f64: where a backend tells multiples of a small number, as ONNX Runtime's does with
    NanoAccel's operators, they are exact, and do not depend on how the text was cut into steps.

    Args:
        block_size: Tokens in a block.
    """

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._sums: dict[int, Float64Array] = {}

    def add(self, sequence: int, scores: Scores) -> None:
        """Count a step.

        Args:
            sequence: The sequence.
            scores: f32 or f64 [n], the attention that each of its n cached tokens drew in the step.
        """
        begins = np.arange(0, len(scores), self._block_size)
        sums = np.add.reduceat(scores, begins, dtype=np.float64)
        before = self._sums.get(sequence)
        if before is not None:
            sums[: len(before)] += before
        self._sums[sequence] = sums

    def of(self, sequence: int) -> Float64Array | None:
        """f64[blocks] of a sequence; None when nothing was counted."""
        return self._sums.get(sequence)

    def drop(self, sequence: int, indices: Sequence[int]) -> None:
        """Forget the blocks at these indices of its table; what follows moves up."""
        if sequence in self._sums:
            self._sums[sequence] = np.delete(self._sums[sequence], indices)

    def forget(self, sequence: int) -> None:
        """Forget a sequence; one that was never counted is fine."""
        self._sums.pop(sequence, None)
