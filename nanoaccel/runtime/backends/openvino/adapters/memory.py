"""The thin matrices of all adapters that are loaded."""

from __future__ import annotations

import mmap
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from nanoaccel.bundle.folded_scales import FoldedScales
from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends.openvino.adapters.graph import AdaptedMatrix
from nanoaccel.runtime.types.low_rank import LowRankUpdate
from nanoaccel.runtime.types.plan import Float32Array, Int32Array

_FIRST_CAPACITY = 256  # ranks; those that are not written to take no memory
_NUMBER = 4  # bytes
_ONE = np.float32(1)


@dataclass(frozen=True, slots=True)
class RankSpan:
    """Ranks that follow each other.

    >>> RankSpan(16, 32).size
    16
    """

    begin: int
    end: int

    @property
    def size(self) -> int:
        """How many there are."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class PassRanks:
    """What a pass multiplies with.

    Args:
        tables: [ranks, ...] for each input of the graph, in order.
        spans: The ranks of each sequence's adapter; an empty span of those without.
    """

    tables: Sequence[Float32Array]
    spans: Sequence[RankSpan]

    @property
    def hull(self) -> RankSpan:
        """The ranks of all sequences, and what lies between them."""
        used = [span for span in self.spans if span.size > 0]
        if not used:
            return _NOTHING
        return RankSpan(min(span.begin for span in used), max(span.end for span in used))


_NOTHING = RankSpan(0, 0)


class AdapterMemory:
    """A table for each input of the graph, in which each adapter has some rows, its ranks.

    An adapter has the same rows in all tables: as many as the largest of its updates has, and those
    that another update lacks are zero, as are all rows that belong to nobody. Adapters that are
    used in one pass lie near each other, so a pass reads a slice of each table as it is. Memory is
    taken where it is written to, and given back with the adapter.

    The numbers are f32: OpenVINO multiplies no others by f32, and to widen f16 in each pass takes
    more time than reading half the bytes saves.

    Args:
        matrices: The matrices of the graph.
        folded: What compression multiplied them with.
    """

    def __init__(self, matrices: Sequence[AdaptedMatrix], folded: FoldedScales) -> None:
        self._matrices = matrices
        self._folded = folded
        self._shapes: list[tuple[int, ...]] = []
        for matrix in matrices:
            self._shapes.append((len(matrix.modules), matrix.inputs))
            self._shapes += [(width,) for width in matrix.outputs]
        self._spans: dict[int, RankSpan] = {}
        self._lock = threading.Lock()
        self._pages = _Pages(self._shapes, 0)

    @property
    def adaptable(self) -> dict[str, tuple[int, int]]:
        """As ``AdapterHolder``."""
        return {
            module: (outputs, matrix.inputs)
            for matrix in self._matrices
            for module, outputs in zip(matrix.modules, matrix.outputs, strict=True)
        }

    def load(self, slot: int, updates: Mapping[str, LowRankUpdate]) -> None:
        """As ``AdapterHolder.load_adapter``.

        Raises:
            ConfigError: It does not fit in memory.
        """
        assert slot not in self._spans, "the slot is free"
        rank = max((update.rank for update in updates.values()), default=0)
        span = self._free_span(rank)
        if span.end > self._pages.capacity:
            self._grow(span.end)
        for table, rows in self._rows(updates):
            table[span.begin : span.begin + len(rows)] = rows
        with self._lock:
            self._spans[slot] = span

    def unload(self, slot: int) -> None:
        """As ``AdapterHolder.unload_adapter``."""
        with self._lock:
            span = self._spans.pop(slot)
        self._pages.clear(span)

    def of_pass(self, slots: Int32Array | None, sequences: int) -> PassRanks:
        """What sequences are computed with.

        Args:
            slots: As ``StepPlan.adapters``.
            sequences: How many there are.
        """
        with self._lock:
            if slots is None:
                return PassRanks(self._pages.tables, [_NOTHING] * sequences)
            spans = [self._spans[slot] if slot >= 0 else _NOTHING for slot in slots.tolist()]
            return PassRanks(self._pages.tables, spans)

    def _rows(
        self, updates: Mapping[str, LowRankUpdate]
    ) -> Iterable[tuple[Float32Array, Float32Array]]:
        """By table what its first ranks are, of those that are not zero."""
        tables = iter(self._pages.tables)
        for matrix in self._matrices:
            downs = next(tables)
            for part, module in enumerate(matrix.modules):
                up = next(tables)
                if module in updates:
                    update = updates[module]
                    yield downs[:, part], update.down / self._folded.inputs.get(module, _ONE)
                    yield up, update.up.T * self._folded.outputs.get(module, _ONE)

    def _free_span(self, rank: int) -> RankSpan:
        """The first ranks that are free."""
        begin = 0
        for span in sorted(self._spans.values(), key=lambda span: span.begin):
            if span.begin - begin >= rank:
                break
            begin = max(begin, span.end)
        return RankSpan(begin, begin + rank)

    def _grow(self, least: int) -> None:
        """Move to larger tables; a pass that reads the old ones keeps them."""
        capacity = max(least, 2 * self._pages.capacity, _FIRST_CAPACITY)
        pages = _Pages(self._shapes, capacity)
        for old, new in zip(self._pages.tables, pages.tables, strict=True):
            for span in self._spans.values():
                new[span.begin : span.end] = old[span.begin : span.end]
        with self._lock:
            self._pages = pages


class _Pages:
    """Tables of zeros, whose memory is taken when it is first written to.

    Args:
        shapes: Shape of a row of each.
        capacity: Rows of each.

    Attributes:
        capacity: Rows of each.
        tables: f32[capacity, *shape] for each of ``shapes``.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], capacity: int) -> None:
        self.capacity = capacity
        self.tables: list[Float32Array] = []
        self._memory: list[mmap.mmap | None] = []
        for shape in shapes:
            size = capacity * int(np.prod(shape)) * _NUMBER
            memory = _reserve(size)
            table = np.zeros(size, np.uint8) if memory is None else np.frombuffer(memory, np.uint8)
            self.tables.append(table.view(np.float32).reshape(capacity, *shape))
            self._memory.append(memory)

    def clear(self, span: RankSpan) -> None:
        """Make rows zero, and give back the pages that lie within them."""
        for table, memory in zip(self.tables, self._memory, strict=True):
            rows = table[span.begin : span.end].reshape(-1).view(np.uint8)
            begin = span.begin * (table.nbytes // max(1, len(table)))
            first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
            last = (begin + len(rows)) // mmap.PAGESIZE * mmap.PAGESIZE
            if memory is not None and first < last:
                memory.madvise(mmap.MADV_DONTNEED, first, last - first)
                rows[: first - begin] = 0
                rows[last - begin :] = 0
            else:
                rows[:] = 0


def _reserve(size: int) -> mmap.mmap | None:
    """Anonymous memory whose pages are zero once given back; None where no system call does that.

    Raises:
        ConfigError: It does not fit.
    """
    if size == 0 or sys.platform != "linux":  # elsewhere the call is a hint, or not there
        return None
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise ConfigError(
            f"{size} bytes of an adapter do not fit in memory", "Load fewer adapters at once"
        ) from error
    with suppress(OSError):  # a kernel without large pages
        memory.madvise(mmap.MADV_NOHUGEPAGE)  # one would hold ranks of many tables
    return memory
