"""Slots of adapters: who is loaded, who goes, and who waits."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.adapters import LaterExecutor

from nanoaccel.errors import AdapterError
from nanoaccel.runtime.adapters.pool import AdapterPool
from nanoaccel.runtime.adapters.registry import RegisteredAdapter
from nanoaccel.runtime.types.low_rank import LowRankUpdate

A, B, C, D = (RegisteredAdapter(name, Path(name), f"{ord(name):02x}") for name in "abcd")


@dataclass(frozen=True)
class Asking:
    """A request, as far as the pool knows it."""

    adapter: RegisteredAdapter | None


class Holder:
    """Notes what is in which slot."""

    adaptable: Mapping[str, tuple[int, int]] = {"x": (1, 1)}

    def __init__(self) -> None:
        self.slots: dict[int, object] = {}
        self.most = 0

    def load_adapter(self, slot: int, updates: object) -> None:
        assert slot not in self.slots
        self.slots[slot] = updates
        self.most = max(self.most, len(self.slots))

    def unload_adapter(self, slot: int) -> None:
        del self.slots[slot]


class Pool:
    """A pool with what is around it; ``broken`` adapters cannot be read."""

    def __init__(self, slots: int = 2) -> None:
        self.holder, self.executor = Holder(), LaterExecutor()
        self.known = [A, B, C, D]
        self.broken: set[RegisteredAdapter] = set()
        self.woken = 0
        self.pool = AdapterPool(
            self.holder, self.read, lambda: self.known, slots=slots, executor=self.executor
        )
        self.pool.wake = self.wake

    def wake(self) -> None:
        self.woken += 1

    def read(self, adapter: RegisteredAdapter) -> Mapping[str, LowRankUpdate]:
        if adapter in self.broken:
            raise AdapterError("it is broken")
        return {adapter.name: None}  # type: ignore[dict-item]

    def ask(self, *adapters: RegisteredAdapter | None) -> RegisteredAdapter | str | None:
        """The adapter of the first of some requests that can start; "nobody" without one."""
        found = self.pool.first_ready([Asking(one) for one in adapters])
        return "nobody" if found is None else found.adapter

    def settle(self, *waiting: RegisteredAdapter) -> dict[RegisteredAdapter, Exception]:
        self.executor.run()
        failed = self.pool.settle([Asking(one) for one in waiting])
        self.executor.run()
        return failed

    def loaded(self) -> set[str]:
        return {name for updates in self.holder.slots.values() for name in updates}  # type: ignore


def test_pool_loads_on_first_use_and_wakes() -> None:
    pool = Pool()
    assert pool.ask(A) == "nobody"
    assert not pool.pool.could_start([Asking(A)])
    assert pool.pool.could_start([Asking(A), Asking(None)])
    pool.executor.run()
    assert pool.woken == 1
    assert pool.pool.has_work
    assert pool.settle() == {}
    assert pool.ask(A) is A
    assert pool.pool.could_start([Asking(A)])
    assert pool.pool.acquire(A) in pool.holder.slots
    counters = pool.pool.counters()
    assert (counters.loaded, counters.loads, counters.load_seconds > 0) == (1, 1, True)


def test_pool_lets_others_pass_one_that_is_loaded() -> None:
    pool = Pool()
    assert pool.ask(A, None) is None
    pool.settle()
    assert pool.ask(B, A) is A
    assert len(pool.executor.calls) == 1


def test_pool_unloads_the_least_recently_used() -> None:
    pool = Pool(slots=2)
    pool.ask(A, B)
    pool.settle()
    assert pool.ask(A) is A  # now B is the least recent
    pool.ask(C)
    pool.settle()
    assert pool.loaded() == {"a", "c"}
    assert pool.holder.most == 2


def test_pool_keeps_what_is_in_use_and_makes_the_others_wait_their_turn() -> None:
    pool = Pool(slots=1)
    pool.ask(A)
    pool.settle()
    pool.pool.acquire(A)
    assert pool.ask(B, A, None) is None  # no adapter, no slot: it may pass
    assert pool.ask(B, A) == "nobody"  # A would keep B out for ever
    pool.pool.release(A)
    assert pool.ask(B, A) == "nobody"
    pool.settle()
    assert pool.ask(B, A) is B
    assert pool.loaded() == {"b"}


def test_pool_tells_what_cannot_be_loaded_and_tries_again() -> None:
    pool = Pool(slots=1)
    pool.broken = {A}
    pool.ask(A)
    failed = pool.settle()
    assert list(failed) == [A]
    assert "it is broken" in str(failed[A])
    pool.broken = set()
    pool.ask(A)
    assert pool.settle() == {}
    assert pool.ask(A) is A


def test_pool_unloads_what_is_forgotten_once_nobody_uses_it() -> None:
    pool = Pool()
    pool.ask(A)
    pool.settle()
    pool.pool.acquire(A)
    pool.known.remove(A)
    assert not pool.pool.has_work
    pool.settle()
    assert pool.loaded() == {"a"}
    pool.pool.release(A)
    assert pool.pool.has_work
    pool.settle()
    assert pool.loaded() == set()


def test_pool_serves_who_waits_for_what_is_forgotten() -> None:
    pool = Pool()
    pool.ask(A)
    pool.known.remove(A)
    pool.settle(A)
    assert pool.ask(A) is A
    pool.settle()
    assert pool.loaded() == set()


@pytest.mark.parametrize("seed", range(20))
def test_pool_never_holds_more_than_its_slots(seed: int) -> None:
    draw, pool = random.Random(seed), Pool(slots=3)
    adapters = [RegisteredAdapter(f"n{n}", Path(), f"{n:02x}") for n in range(10)]
    pool.known = adapters
    waiting = [Asking(draw.choice([*adapters, None])) for _ in range(200)]
    running: list[Asking] = []
    for _ in range(10_000):
        if not waiting and not running:
            break
        pool.executor.run(draw.randint(0, len(pool.executor.calls)))
        pool.pool.settle(waiting)
        while len(running) < 5 and (found := pool.pool.first_ready(waiting)) is not None:
            waiting.remove(found)
            running.append(found)
            if found.adapter is not None:
                slot = pool.pool.acquire(found.adapter)
                assert pool.holder.slots[slot] == {found.adapter.name: None}
        if running and draw.random() < 0.5:
            ended = running.pop(draw.randrange(len(running)))
            if ended.adapter is not None:
                pool.pool.release(ended.adapter)
        pool.pool.check_integrity(running)
    assert not waiting
    assert pool.holder.most <= 3
