"""Holds adapters for a graph: finds their matrices, and puts them into the library's table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends.onnxruntime.operators.adapters import Adaptable, AdaptableMatrix
from nanoaccel.runtime.native.adapters import MatrixUpdate, NativeAdapters, UpdatePart
from nanoaccel.runtime.types.low_rank import LowRankUpdate


class GraphAdapters:
    """The adapters of a graph.

    Args:
        table: Where they are kept.
        adaptable: What they may change.

    Attributes:
        modules: Outputs and inputs of each module, by its name.
    """

    def __init__(self, table: NativeAdapters, adaptable: Adaptable) -> None:
        self._table = table
        self._adaptable = adaptable
        self.modules: Mapping[str, tuple[int, int]] = {
            part.module: (part.rows, matrix.inputs)
            for matrix in adaptable.matrices
            for part in matrix.modules
        }

    def load(self, slot: int, updates: Mapping[str, LowRankUpdate]) -> None:
        """As ``AdapterHolder.load_adapter``.

        Raises:
            ConfigError: Its numbers cannot be kept: some are not finite, say.
        """
        found = [
            self._update(number, matrix, updates)
            for number, matrix in enumerate(self._adaptable.matrices)
            if any(part.module in updates for part in matrix.modules)
        ]
        try:
            self._table.load(slot, found)
        except ValueError as error:
            raise ConfigError(
                f"an adapter cannot be loaded: {error}", "Check its weights"
            ) from error

    def unload(self, slot: int) -> None:
        """As ``AdapterHolder.unload_adapter``."""
        self._table.unload(slot)

    def close(self) -> None:
        """Free them all, once the session is gone. Calling it twice is fine."""
        self._table.close()

    def _update(
        self, number: int, matrix: AdaptableMatrix, updates: Mapping[str, LowRankUpdate]
    ) -> MatrixUpdate:
        parts, begin = [], 0
        for part in matrix.modules:
            if part.module in updates:
                update = updates[part.module]
                down = _times(update.down, self._adaptable.input_scale(part.module), inverse=True)
                outputs = self._adaptable.output_scale(part.module)
                up = _times(update.up, None if outputs is None else outputs[:, None])
                parts.append(UpdatePart(begin, down, up))
            begin += part.rows
        sizes = (matrix.inputs, matrix.outputs)
        return MatrixUpdate(number, *sizes, matrix.gated, matrix.exact, parts)


def _times(
    numbers: NDArray[np.float32], factors: NDArray[np.float32] | None, *, inverse: bool = False
) -> NDArray[np.float32]:
    if factors is not None:
        numbers = numbers / factors if inverse else numbers * factors
    return np.ascontiguousarray(numbers, np.float32)
