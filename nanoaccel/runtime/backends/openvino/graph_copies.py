"""One graph, compiled several times when the work gains by it."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from nanoaccel.runtime.backends.openvino.adapters.memory import AdapterMemory
from nanoaccel.runtime.backends.openvino.cache_inputs import CacheInput
from nanoaccel.runtime.backends.openvino.graph_copy import GraphCopy
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.types.packing import even_plan
from nanoaccel.runtime.types.plan import StepPlan

# Changes between short passes before another copy is worth the seconds and the memory that it
# takes. Prompts, and what comes after them, are not worth any.
_PATIENCE = 16
_MOST_SHORT = 64
_ONE_BLOCK = 32  # tokens

_log = logging.getLogger("nanoaccel.backends")


class GraphCopies:
    """Runs each pass on the copy of a graph that was made for its size, else on the one for all.

    OpenVINO prepares every node anew when a pass has more or fewer tokens than the one before. For
    30 layers that takes 3-10 ms, up to half of what a token costs, each time that drafts are
    checked and each time that none are. Where that happens again and again, copies for one size
    each are made beside the work, one at a time by a thread of its own, and each is used once it
    has run. Their nodes know their shapes, which saves a little more with every pass.

    Args:
        compiled: The copy for all sizes.
        compile_for: Makes one for passes of so many tokens.
        most: Copies to make at most.
        caches: The graph's cache inputs: keys and values, then recurrent states.
        adapters: Holds what its inputs of adapters are; None where it has no such inputs.
    """

    def __init__(
        self,
        compiled: ov.CompiledModel,
        compile_for: Callable[[int], ov.CompiledModel],
        most: int,
        caches: Sequence[CacheInput],
        adapters: AdapterMemory | None = None,
    ) -> None:
        self._adapters = adapters
        self._general: GraphCopy | None = GraphCopy(compiled, adapters)
        self._fixed: dict[int, GraphCopy] = {}
        self._compile_for = compile_for
        self._left = most
        self._caches = caches
        self._slices: Sequence[NDArray[np.uint8]] = ()
        self._changes: Counter[int] = Counter()
        self._maker: threading.Thread | None = None
        self._made: tuple[int, GraphCopy] | None = None

    def bind(self, slices: Sequence[NDArray[np.uint8]]) -> None:
        """Work on a cache: u8[n, size] for each of its inputs, the last block or state spare."""
        self._slices = slices
        for copy in (self.general, *self._fixed.values()):
            copy.bind(self._caches, slices)

    @property
    def general(self) -> GraphCopy:
        """The copy for all sizes."""
        assert self._general is not None, "the backend is closed"
        return self._general

    def run(self, plan: StepPlan) -> Any:
        """Compute a step; the request that holds its outputs until the next."""
        copy = self._pick(plan.num_computed)
        copy.run(plan)
        return copy.request

    def close(self) -> None:
        """Free all copies, the one in the making included."""
        if self._maker is not None:
            self._maker.join()
        self._general, self._fixed, self._made, self._slices = None, {}, None, ()

    def _pick(self, num_tokens: int) -> GraphCopy:
        if self._made is not None:
            size, copy = self._made
            copy.bind(self._caches, self._slices)
            self._fixed[size] = copy
            self._made = self._maker = None
        found = self._fixed.get(num_tokens)
        if found is not None:
            return found
        if num_tokens != self.general.num_tokens:
            self._note_change(self.general.num_tokens, num_tokens)
        return self.general

    def _note_change(self, before: int, now: int) -> None:
        """Make a copy for the size that was changed to most often, once that happens often."""
        if self._left == 0 or max(before, now) > _MOST_SHORT:
            return
        self._changes[now] += 1
        if self._maker is None and self._changes.total() >= _PATIENCE:
            ((size, _),) = self._changes.most_common(1)
            self._changes.clear()
            self._left -= 1
            self._maker = threading.Thread(
                target=self._make, args=(size,), name="nanoaccel-graph", daemon=True
            )
            self._maker.start()

    def _make(self, size: int) -> None:
        try:
            pages = HugePages()
            copy = GraphCopy(self._compile_for(size), self._adapters)
            # A block, or the states before and behind a sequence, and behind what is spare.
            memory = [np.zeros((3, cache.block_bytes), np.uint8) for cache in self._caches]
            copy.bind(self._caches, memory)
            first = even_plan([[0]], 0, min(size, _ONE_BLOCK))
            copy.run(replace(first, pad_to=size))  # packs its weights
            pages.gather()
        except Exception as error:  # it is a luxury
            _log.debug("no further copy of the graph: %s", error)
        else:
            self._made = size, copy
