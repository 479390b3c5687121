"""Thin matrices in memory: where they lie, what is between them, when they are gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("openvino")

from nanoaccel.bundle.folded_scales import FoldedScales
from nanoaccel.runtime.backends.openvino.adapters.graph import AdaptedMatrix
from nanoaccel.runtime.backends.openvino.adapters.memory import (
    AdapterMemory,
    RankSpan,
)
from nanoaccel.runtime.types.low_rank import LowRankUpdate

MATRICES = [AdaptedMatrix(("q", "k"), 600, (500, 300)), AdaptedMatrix(("o",), 500, (600,))]
SIZES = {"q": (500, 600), "k": (300, 600), "o": (600, 500)}


def update(rank: int, module: str, value: float) -> LowRankUpdate:
    outputs, inputs = SIZES[module]
    down, up = (np.full(shape, value, np.float32) for shape in ((rank, inputs), (outputs, rank)))
    return LowRankUpdate(down, up)


def made(folded: FoldedScales | None = None) -> AdapterMemory:
    return AdapterMemory(MATRICES, FoldedScales() if folded is None else folded)


def tables(memory: AdapterMemory) -> list[np.ndarray]:
    return list(memory.of_pass(None, 0).tables)


def test_memory_names_the_modules_of_joined_matrices() -> None:
    assert made().adaptable == SIZES


def test_adapter_has_the_same_ranks_in_all_tables() -> None:
    memory = made()
    memory.load(3, {"k": update(2, "k", 0.5), "o": update(4, "o", 0.25)})
    downs, q, k, o_down, o = tables(memory)
    assert memory.of_pass(np.array([3], np.int32), 1).spans == [RankSpan(0, 4)]
    np.testing.assert_array_equal(downs[:2, 1], 0.5)
    assert not downs[:, 0].any()
    assert not downs[2:].any()
    assert not q.any()
    np.testing.assert_array_equal(k[:2], 0.5)
    assert not k[2:].any()
    np.testing.assert_array_equal(o_down[:4], 0.25)
    np.testing.assert_array_equal(o[:4], 0.25)


def test_adapter_is_scaled_like_the_matrices_of_the_graph() -> None:
    halves, doubles = np.full(500, 0.5, np.float32), np.full(300, 2, np.float32)
    memory = made(FoldedScales(inputs={"o": halves}, outputs={"k": doubles}))
    memory.load(0, {module: update(1, module, 1.0) for module in SIZES})
    downs, q, k, o_down, o = (table[0] for table in tables(memory))
    for found, value in ((downs, 1), (q, 1), (k, 2), (o_down, 2), (o, 1)):
        np.testing.assert_array_equal(found, value)


def test_pass_reads_from_the_first_rank_to_the_last() -> None:
    memory = made()
    for slot in range(4):
        memory.load(slot, {"o": update(slot + 1, "o", 1.0)})
    found = memory.of_pass(np.array([3, -1, 1], np.int32), 3)
    assert found.spans == [RankSpan(6, 10), RankSpan(0, 0), RankSpan(1, 3)]
    assert found.hull == RankSpan(1, 10)
    assert memory.of_pass(np.array([-1], np.int32), 1).hull.size == 0


def test_pass_keeps_what_it_reads_while_the_tables_grow() -> None:
    memory = made()
    memory.load(0, {"o": update(8, "o", 2.0)})
    before = memory.of_pass(np.array([0], np.int32), 1)
    memory.load(1, {"o": update(500, "o", 3.0)})
    after = memory.of_pass(np.array([0], np.int32), 1)
    assert after.tables is not before.tables
    for found in (before, after):
        np.testing.assert_array_equal(found.tables[3][:8], 2.0)


def test_memory_is_given_back_with_the_adapter() -> None:
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        pytest.skip("only Linux tells")

    def resident() -> int:
        return int(statm.read_text().split()[1]) * 4096

    memory = made()
    memory.load(0, {"q": update(1, "q", 1.0)})
    begun = resident()
    memory.load(1, {module: update(2000, module, 1.0) for module in SIZES})  # 23 MB
    full = resident()
    assert full - begun > 20e6
    memory.unload(1)
    assert full - resident() > 15e6
    np.testing.assert_array_equal(tables(memory)[0][0, 0], 1.0)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40)), max_size=30))
def test_adapters_never_share_a_rank_and_leave_zeros(steps: list[tuple[int, int]]) -> None:
    memory, ranks = made(), dict[int, int]()
    for slot, rank in steps:
        if slot in ranks:
            memory.unload(slot)
            del ranks[slot]
        else:
            memory.load(slot, {"q": update(rank, "q", slot + 1.0)})
            ranks[slot] = rank
        owners = tables(memory)[1][:, 0]
        for loaded, size in ranks.items():
            (span,) = memory.of_pass(np.array([loaded], np.int32), 1).spans
            assert span.size == size
            np.testing.assert_array_equal(owners[span.begin : span.end], loaded + 1.0)
        assert np.count_nonzero(owners) == sum(ranks.values())
