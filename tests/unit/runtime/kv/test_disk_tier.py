from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.block_memory import FakeMemory, content_of, key_of
from support.disk_tiers import (
    TARGET,
    OpenShelf,
    Shelf,
    file_bytes,
    size_of,
    wait_until,
)

from nanoaccel.errors import PromptCacheError
from nanoaccel.runtime.kv import PagedCache
from nanoaccel.runtime.kv.disk_tier import DiskTier

SMALL = 168  # bytes of the file of a block of 64


def test_disk_tier_gives_back_what_was_saved(open_shelf: OpenShelf) -> None:
    shelf = open_shelf()
    for number in range(5):
        assert not shelf.has(number)
        assert shelf.save(number)
        assert shelf.has(number)
    assert shelf.loadable(*range(6)) == [0, 1, 2, 3, 4]
    assert shelf.tier.stats.loads == 5


def test_disk_tier_serves_what_an_earlier_one_saved(open_shelf: OpenShelf) -> None:
    first = open_shelf()
    for number in range(3):
        first.save(number)
    first.close()
    assert first.tier.stats.saves == 3
    second = open_shelf()
    assert second.tier.num_bytes == size_of(second.folder) == first.tier.num_bytes
    assert second.has(1)
    assert second.loadable(*range(4)) == [0, 1, 2]


@pytest.mark.parametrize("other", [{"identity": "model 2"}, {"block_bytes": 32}])
def test_disk_tier_does_not_find_blocks_of_another_identity(
    open_shelf: OpenShelf, other: dict[str, Any]
) -> None:
    shelf = open_shelf()
    shelf.save(1)
    shelf.close()
    stranger = open_shelf(**other)
    assert not stranger.has(1)
    assert not stranger.load(1)
    assert stranger.save(1)
    assert stranger.load(1)
    stranger.close()
    assert open_shelf().loadable(1) == [1]


@pytest.mark.parametrize("tokens", [b"others", b"", bytes(12)])
def test_disk_tier_does_not_serve_other_tokens(open_shelf: OpenShelf, tokens: bytes) -> None:
    shelf = open_shelf()
    shelf.save(1)
    assert not shelf.tier.load(key_of(1), tokens, TARGET)
    shelf.close()
    shelf = open_shelf()
    assert not shelf.tier.load(key_of(1), tokens, TARGET)
    assert shelf.load(1)
    assert shelf.tier.stats.damaged == 0


def test_disk_tier_writes_a_block_once(open_shelf: OpenShelf) -> None:
    shelf = open_shelf()
    assert shelf.save(1)
    assert shelf.save(1)
    shelf.close()
    assert shelf.tier.stats.saves == 1


def test_disk_tier_serves_queued_blocks_and_refuses_more_than_the_queue_holds(
    open_shelf: OpenShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_answers = threading.Event()
    replace = os.replace

    def slow_replace(source: Path, target: Path) -> None:
        disk_answers.wait()
        replace(source, target)

    monkeypatch.setattr(os, "replace", slow_replace)
    shelf = open_shelf(queue_bytes=0)
    assert [shelf.save(number) for number in range(4)] == [True, True, False, False]
    assert [shelf.has(number) for number in range(4)] == [True, True, False, False]
    assert shelf.loadable(*range(4)) == [0, 1]
    disk_answers.set()
    wait_until(lambda: shelf.save(2), "a place in the queue")
    shelf.close()
    assert open_shelf().loadable(*range(4)) == [0, 1, 2]


def test_disk_tier_closed_has_and_takes_nothing(open_shelf: OpenShelf) -> None:
    shelf = open_shelf()
    shelf.save(1)
    shelf.close()
    shelf.close()
    assert not shelf.has(1)
    assert not shelf.load(1)
    assert not shelf.save(2)


def test_disk_tier_drops_least_recently_used_blocks(open_shelf: OpenShelf, tmp_path: Path) -> None:
    shelf = open_shelf(max_bytes=3 * file_bytes(tmp_path))
    shelf.save_all(0, 1, 2)
    assert shelf.load(0)
    assert shelf.has(1)
    shelf.save_all(3, 4)
    assert [number for number in range(5) if shelf.has(number)] == [1, 3, 4]
    assert shelf.tier.num_bytes == size_of(shelf.folder)


def test_disk_tier_remembers_the_order_of_use(open_shelf: OpenShelf, tmp_path: Path) -> None:
    shelf = open_shelf()
    shelf.save_all(0, 1, 2, 3)
    shelf.close()
    shelf = open_shelf()
    shelf.load(1)
    shelf.load(0)
    shelf.close()
    shelf = open_shelf(max_bytes=3 * file_bytes(tmp_path))
    assert size_of(shelf.folder) == 3 * file_bytes(tmp_path)
    shelf.save_all(4)
    assert shelf.loadable(*range(5)) == [0, 1, 4]


def test_disk_tier_budget_covers_other_identities(open_shelf: OpenShelf, tmp_path: Path) -> None:
    budget = 2 * file_bytes(tmp_path)
    shelf = open_shelf(max_bytes=budget)
    shelf.save_all(0, 1)
    shelf.close()
    other = open_shelf(identity="model 2", max_bytes=budget)
    other.save_all(2)
    assert size_of(other.folder) == budget
    other.close()
    assert open_shelf(max_bytes=budget).loadable(0, 1, 2) == [1]


def test_disk_tier_holds_its_budget_while_it_writes(
    open_shelf: OpenShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    replace = os.replace

    def watched(source: Path, target: Path) -> None:
        seen.append(size_of(Path(source).parent))
        replace(source, target)

    budget = 3 * file_bytes(tmp_path) + 5
    monkeypatch.setattr(os, "replace", watched)
    shelf = open_shelf(max_bytes=budget)
    shelf.save_all(*range(8))
    shelf.close()
    assert len(seen) == 8
    assert max(seen) <= budget


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["save", "load", "reopen"]), st.integers(0, 9)), max_size=40
    ),
    budget=st.integers(300, 1200),
)
def test_disk_tier_keeps_the_most_recently_used_blocks(
    steps: list[tuple[str, int]], budget: int
) -> None:
    with TemporaryDirectory() as folder:
        shelf = Shelf(Path(folder), max_bytes=budget)
        recent: list[int] = []  # what a list of the blocks by use would hold
        for action, number in steps:
            if action == "reopen":
                shelf.close()
                shelf = Shelf(Path(folder), max_bytes=budget)
            elif action == "load":
                assert shelf.load(number) == (number in recent)
            elif number not in recent:
                shelf.save_all(number)
            if action == "save" or (action == "load" and number in recent):
                recent = [*(n for n in recent if n != number), number]
                assert shelf.has(number)
            while len(recent) * SMALL > budget:
                recent.pop(0)
            assert size_of(Path(folder)) == shelf.tier.num_bytes == len(recent) * SMALL
        assert [n for n in range(10) if shelf.has(n)] == sorted(recent)
        shelf.close()


def test_disk_tier_budget_below_a_block_is_an_error(open_shelf: OpenShelf, tmp_path: Path) -> None:
    with pytest.raises(PromptCacheError, match=r"may take 100 bytes, a block takes \d+\. Allow"):
        open_shelf(max_bytes=100)
    shelf = open_shelf(max_bytes=file_bytes(tmp_path) - 1)
    assert not shelf.save(1)


def test_disk_tier_undeletable_blocks_end_saving(
    open_shelf: OpenShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    budget = 2 * file_bytes(tmp_path)
    shelf = open_shelf(max_bytes=budget, clock=lambda: now[0])
    shelf.save_all(0, 1)

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "in use", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    for number in range(2, 6):
        now[0] += 100
        assert shelf.save(number)
        wait_until(lambda number=number: not shelf.has(number), "the write to fail")
        assert size_of(shelf.folder) <= budget


def test_disk_tier_fills_a_paged_cache_after_a_restart(tmp_path: Path) -> None:
    tokens = np.arange(9)
    contents = [content_of(bytes([number]), 64) for number in range(2)]
    places = np.zeros(3, np.int32)
    for computed in (0, 8):
        memory = FakeMemory(64, num_blocks=4)
        tier = DiskTier(tmp_path, identity="model", max_bytes=1000, memory=memory)
        cache = PagedCache(4, 4, tier=tier)
        assert cache.admit(1, tokens, reserve=0) == computed
        assert cache.allocate(1, 9)
        cache.block_ids(1, 9, places)
        if computed == 0:
            memory.blocks[places[:2]] = contents
        assert (memory.blocks[places[:2]] == contents).all()
        cache.commit(1, tokens)
        cache.free(1)
        tier.close()
        assert tier.stats.saves == 2 - computed // 4
