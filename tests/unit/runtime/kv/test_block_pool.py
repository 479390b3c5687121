from __future__ import annotations

import pytest

from nanoaccel.runtime.kv.block_pool import BlockPool


def test_block_pool_gives_none_when_short_and_keeps_its_blocks() -> None:
    pool = BlockPool(3)
    assert pool.take(4) is None
    assert pool.num_free == 3


def test_block_pool_reuses_the_last_returned_block_first() -> None:
    pool = BlockPool(4)
    first, second = pool.take(2) or []
    pool.give_back([first, second])
    assert pool.take(2) == [first, second]


def test_block_pool_integrity_notices_a_lost_block() -> None:
    pool = BlockPool(2)
    pool.take(1)
    with pytest.raises(AssertionError, match="lost"):
        pool.check_integrity([])
