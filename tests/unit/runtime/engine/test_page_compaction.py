from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest
from support.disk_tiers import wait_until

from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.engine.page_compaction import PageCompaction


class Pages(HugePages):
    """Counts how often they are gathered, and can be held meanwhile."""

    def __init__(self) -> None:
        self.gathered = 0
        self.free = threading.Event()
        self.free.set()

    def gather(self, stop: Callable[[], bool] = lambda: False) -> int:
        self.free.wait()
        if not stop():
            self.gathered += 1
        return 0


class Watched:
    """Of an engine, what is watched: whether it is busy."""

    def __init__(self) -> None:
        self.busy = False
        self.looks = 0

    @property
    def has_work(self) -> bool:
        self.looks += 1
        return self.busy


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def engine() -> Watched:
    return Watched()


class Make(Protocol):
    def __call__(self, look_seconds: float = 0.001) -> PageCompaction: ...


@pytest.fixture
def made(pages: Pages, engine: Watched) -> Iterator[Make]:
    found: list[PageCompaction] = []

    def make(look_seconds: float = 0.001) -> PageCompaction:
        found.append(PageCompaction(pages, engine, look_seconds))  # type: ignore[arg-type]
        return found[-1]

    yield make
    for one in found:
        one.close()


@pytest.mark.parametrize(("busy", "looks"), [(False, 2), (True, 8)])
def test_it_begins_after_a_short_rest_or_longer_work(
    made: Make, pages: Pages, engine: Watched, busy: bool, looks: int
) -> None:
    engine.busy = busy
    made()
    wait_until(lambda: pages.gathered == 1, "they are gathered")
    assert engine.looks == looks


def test_it_can_be_had_at_once(
    made: Make,
    pages: Pages,
    engine: Watched,
) -> None:
    made(look_seconds=60.0).run()
    assert pages.gathered == 1
    assert engine.looks == 0


def test_who_wants_it_at_once_waits_for_what_has_begun(
    made: Make, pages: Pages, engine: Watched
) -> None:
    pages.free.clear()
    one = made()
    wait_until(lambda: engine.looks == 2, "it has looked")
    waiting = threading.Thread(target=one.run)
    waiting.start()
    pages.free.set()
    waiting.join(timeout=10)
    assert not waiting.is_alive()
    assert 1 <= pages.gathered <= 2


def test_nothing_is_moved_for_an_engine_that_is_closed(made: Make, pages: Pages) -> None:
    pages.free.clear()
    one = made()
    one.close()
    one.close()
    pages.free.set()
    one.run()
    assert pages.gathered == 0
