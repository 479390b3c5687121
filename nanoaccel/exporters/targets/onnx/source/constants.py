"""Numbers of a graph that depend on nothing, or on shapes alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.source.graph import SourceGraph, Value
from nanoaccel.exporters.targets.onnx.source.trial import Trial, unsupported

_TYPES = {"bf16": ml_dtypes.bfloat16}


class Constants:
    """Numbers by value.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: SourceGraph) -> None:
        self._known: dict[Value, NDArray[Any]] = {}
        self._settled: dict[Value, NDArray[Any] | None] = {}
        self._graph = graph
        self._trials: Sequence[Trial] | None = None

    def array(self, value: Value) -> NDArray[Any]:
        """The numbers of a value that depends on nothing; bfloat16 as f32."""
        if value not in self._known:
            self._known[value] = self._find(value)
        return self._known[value]

    def scalar(self, value: Value) -> float | None:
        """The number of a value that is one and depends on nothing; None for others."""
        if not value.node.constant or any(size != 1 for size in value.shape):
            return None
        return float(self.array(value).ravel()[0])

    def integers(self, value: Value) -> list[int] | None:
        """Integers that depend on nothing but fixed sizes; None for others."""
        found = self.settled(value)
        return None if found is None else [int(number) for number in found.ravel()]

    def settled(self, value: Value) -> NDArray[Any] | None:
        """The numbers of a value that depends on nothing but fixed sizes; None for others."""
        if value.node.constant:
            return self.array(value)
        if not value.node.fixed or value.token_axes:
            return None
        if value not in self._settled:
            self._settled[value] = self._settle(value)
        return self._settled[value]

    def _settle(self, value: Value) -> NDArray[Any] | None:
        found = [trial.run([value], {}) for trial in self._sized()]
        arrays = [arrays[0] for arrays in found if arrays is not None]
        first = arrays[0] if arrays else None
        if first is None or any(not np.array_equal(first, one) for one in arrays):
            return None
        return first

    def _find(self, value: Value) -> NDArray[Any]:
        node = value.node
        if node.kind == "Constant":
            data: NDArray[Any] = node.origin.data
            if value.kind in _TYPES:
                data = data.view(_TYPES[value.kind]).astype(np.float32)
            return data
        if node.kind == "Convert" and value.kind == "f32":
            return self.array(node.inputs[0]).astype(np.float32)
        found = self._sized()[0].run([value], {})
        if found is None:
            raise unsupported(f"{node.kind} ({node.name}) cannot be computed")
        return found[0]

    def _sized(self) -> Sequence[Trial]:
        """The graph for passes of several sizes."""
        if self._trials is None:
            self._trials = [Trial(self._graph, *sizes) for sizes in ((7, 5), (11, 18))]
        return self._trials
