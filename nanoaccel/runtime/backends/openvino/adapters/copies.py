"""A graph with adapters and, beside it, the same graph without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.backends.openvino.graph_copies import GraphCopies
from nanoaccel.runtime.backends.openvino.graph_copy import GraphCopy
from nanoaccel.runtime.types.plan import StepPlan


class TwoGraphs:
    """Runs passes in which no sequence has an adapter on the graph without them.

    The products of adapters cost a short pass a fifth of its time even where there are none: by
    what OpenVINO does for each input and each node.

    Args:
        adapted: The graph with adapters.
        plain: The one without, over the same weights and caches.
    """

    def __init__(self, adapted: GraphCopies, plain: GraphCopies) -> None:
        self._adapted = adapted
        self._plain = plain

    @property
    def general(self) -> GraphCopy:
        """As ``GraphCopies``, of the graph with adapters."""
        return self._adapted.general

    def bind(self, slices: Sequence[NDArray[np.uint8]]) -> None:
        """As ``GraphCopies``."""
        self._adapted.bind(slices)
        self._plain.bind(slices)

    def run(self, plan: StepPlan) -> Any:
        """As ``GraphCopies``."""
        return (self._adapted if _has_adapter(plan) else self._plain).run(plan)

    def close(self) -> None:
        """As ``GraphCopies``."""
        self._adapted.close()
        self._plain.close()


def _has_adapter(plan: StepPlan) -> bool:
    return plan.adapters is not None and bool((plan.adapters >= 0).any())
