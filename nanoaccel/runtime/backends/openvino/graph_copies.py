"""One graph, compiled several times when the work gains by it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from nanoaccel.runtime.backends.openvino.cache_inputs import CacheInput
from nanoaccel.runtime.backends.openvino.graph_copy import GraphCopy
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.plan import StepPlan

# Short passes of a new size before another copy is worth the seconds and the memory that it takes.
# Prompts, and single tokens after them, are not worth any.
_PATIENCE = 16
_MOST_SHORT = 64

_log = logging.getLogger("nanoaccel")


class GraphCopies:
    """Runs each pass on the copy of a graph that is prepared for its size.

    OpenVINO prepares every node anew when a pass has more or fewer tokens than the one before. For
    30 layers that takes 3-10 ms, up to half of what a token costs, each time that guesses are
    checked and each time that none are. So a pass goes to the copy that ran one of the same size
    last, else to the one that rested longest. Further copies are made beside the work, one at a
    time by a thread of its own, and each is used once it has run.

    Args:
        compiled: The first copy.
        compile_again: Makes another.
        most: Copies to make at most.
        caches: The graph's cache inputs.
        least: Tokens of a pass over a single one, with those that it is padded with.
    """

    def __init__(
        self,
        compiled: ov.CompiledModel,
        compile_again: Callable[[], ov.CompiledModel],
        most: int,
        caches: Sequence[CacheInput],
        least: int,
    ) -> None:
        self._least = least
        self._copies = [GraphCopy(compiled)]  # the one used last comes first
        self._compile_again = compile_again
        self._left = most
        self._caches = caches
        self._slices: Sequence[NDArray[np.uint8]] = ()
        self._changes = 0
        self._maker: threading.Thread | None = None
        self._made: GraphCopy | None = None

    def bind(self, slices: Sequence[NDArray[np.uint8]]) -> None:
        """Work on a cache: u8[num_blocks, size] for each of its inputs, the last block spare."""
        self._slices = slices
        for copy in self._copies:
            copy.bind(self._caches, slices)

    @property
    def first(self) -> GraphCopy:
        """The copy that was used last; before any pass, the only one."""
        return self._copies[0]

    def run(self, plan: StepPlan) -> Any:
        """Compute a step; the request that holds its outputs until the next."""
        copy = self._pick(plan.num_computed)
        copy.run(plan)
        return copy.request

    def close(self) -> None:
        """Free all copies, the one in the making included."""
        if self._maker is not None:
            self._maker.join()
        self._copies, self._made, self._slices = [], None, ()

    def _pick(self, num_tokens: int) -> GraphCopy:
        assert self._copies, "the backend is closed"
        if self._made is not None:
            self._made.bind(self._caches, self._slices)
            self._copies.append(self._made)
            self._made = self._maker = None
        place = next(
            (i for i, copy in enumerate(self._copies) if copy.num_tokens == num_tokens), None
        )
        if place is None:
            place = len(self._copies) - 1
            if self._least < num_tokens <= _MOST_SHORT:
                self._change()
        self._copies.insert(0, self._copies.pop(place))
        return self._copies[0]

    def _change(self) -> None:
        self._changes += 1
        if self._changes >= _PATIENCE and self._left > 0 and self._maker is None:
            self._changes, self._left = 0, self._left - 1
            self._maker = threading.Thread(target=self._make, name="nanoaccel-graph", daemon=True)
            self._maker.start()

    def _make(self) -> None:
        try:
            pages = HugePages()
            copy = GraphCopy(self._compile_again())
            block = [np.zeros((1, cache.block_bytes), np.uint8) for cache in self._caches]
            copy.bind(self._caches, block)
            copy.run(StepPlan.even([[0]], 0, 1))  # packs its weights
            pages.gather()
        except Exception as error:  # it is a luxury
            _log.debug("no further copy of the graph: %s", error)
        else:
            self._made = copy
