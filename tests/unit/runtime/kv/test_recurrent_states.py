"""Each pass reads the state of its own text, and no state is lost or counted twice."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nanoaccel.runtime.kv import PagedCache
from nanoaccel.runtime.kv.recurrent.borders import (
    around,
    at_borders,
    at_end,
    at_last_border,
    behind_each,
)
from nanoaccel.testing.checked_cache import MemoryTier

BLOCK, INTERVAL = 2, 4
Text = tuple[int, ...]


@given(
    begin=st.integers(0, 40),
    count=st.integers(1, 60),
    last=st.integers(0, 50),
    every=st.integers(1, 5),
)
def test_kept_lengths_are_what_a_backend_writes(
    begin: int, count: int, last: int, every: int
) -> None:
    end, last, interval = begin + count, last * BLOCK, every * BLOCK
    for kept in (
        at_end(begin, end),
        behind_each(begin, end),
        at_borders(begin, end, last, interval),
        at_last_border(begin, end, last, interval),
        around(begin, begin + (count + 1) // 2, end),
    ):
        assert 0 <= kept.offset < kept.interval
        written = {}
        for token in range(count):  # as ``StateTable`` says
            if (kept.offset + token + 1) % kept.interval == 0 or token == count - 1:
                written[1 + (kept.offset + token) // kept.interval] = begin + token + 1
        assert list(written) == list(range(1, len(written) + 1))
        assert list(written.values()) == kept.lengths
        for shorter in kept.lengths:  # the tokens behind it were wrong guesses
            assert kept.cut(shorter).lengths == [n for n in kept.lengths if n <= shorter]


@given(begin=st.integers(0, 40), count=st.integers(1, 60), last=st.integers(1, 30))
def test_borders_in_a_pass_are_kept(begin: int, count: int, last: int) -> None:
    end, last = begin + count, last * BLOCK
    borders = [
        place for place in range(last % INTERVAL, last + 1, INTERVAL) if begin < place <= end
    ]
    kept = at_borders(begin, end, last, INTERVAL).lengths
    assert set(borders) <= set(kept)
    assert all((last - length) % INTERVAL == 0 for length in kept[:-1])
    few = at_last_border(begin, end, last, INTERVAL).lengths
    assert few == sorted({*borders[-1:], end})


class Machine(RuleBasedStateMachine):
    """Sequences over two tokens; a slot holds the text that was read when it was written."""

    @initialize(
        num_states=st.integers(4, 12),
        num_blocks=st.integers(4, 30),
        every=st.booleans(),
        tiered=st.booleans(),
    )
    def begin(self, num_states: int, num_blocks: int, every: bool, tiered: bool) -> None:
        self.slots: dict[int, Any] = {0: ()}
        self.open = partial(
            PagedCache,
            num_blocks,
            BLOCK,
            num_states=num_states,
            state_interval=INTERVAL,
            every_state=every,
            tier=MemoryTier(defaultdict(bytes)) if tiered else None,
            state_tier=MemoryTier(self.slots) if tiered else None,
        )
        self.cache = self.open()
        self.every = every
        self.texts: dict[int, list[int]] = {}
        self.computed: dict[int, int] = {}
        self.numbers = 0

    @rule(text=st.lists(st.integers(0, 1), min_size=1, max_size=20))
    def admit(self, text: list[int]) -> None:
        self.numbers += 1
        found = self.cache.admit(self.numbers, np.array(text), 0)
        if found is None:
            assert self.texts or self.cache.blocks_for(len(text) + 1) > self.cache.num_blocks
            return
        assert found % BLOCK == 0
        self.texts[self.numbers], self.computed[self.numbers] = text, found

    @precondition(lambda self: self.texts)
    @rule(data=st.data())
    def run(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.texts)))
        text, past = self.texts[number], self.computed[number]
        if past == len(text):
            text.append(data.draw(st.integers(0, 1)))
        count = data.draw(st.integers(1, len(text) - past))
        if not self.cache.allocate(number, past + count):
            return
        drafts: list[int] = []
        if past + count == len(text):
            drafts = data.draw(st.lists(st.integers(0, 1), max_size=3))
            if drafts and not self.cache.allocate(number, len(text) + len(drafts), len(drafts)):
                drafts = []
        if drafts and data.draw(st.booleans()):  # a pass that failed is run without them
            self.compute(number, [*text, *drafts], past, len(text) + len(drafts))
            self.cache.trim(number, len(text))
            drafts = []
        self.compute(number, [*text, *drafts], past, past + count + len(drafts))
        taken = data.draw(st.integers(0, len(drafts)))
        text += drafts[:taken]
        verified = past + count + taken
        kept = self.cache.commit(number, np.array(text[:verified]))
        assert past < kept <= verified
        assert kept == verified or (taken and not self.every)
        self.computed[number] = kept

    def compute(self, number: int, text: list[int], past: int, end: int) -> None:
        steps = self.cache.state_steps(number, end)
        assert steps is not None
        read, *written = steps.slots
        assert self.slots[read] == tuple(text[:past])
        assert read not in written
        assert len(set(written)) == len(written)
        for token in range(end - past):
            behind = steps.offset + token + 1
            if behind % steps.interval == 0 or token == end - past - 1:
                slot = steps.slots[1 + (behind - 1) // steps.interval]
                self.slots[slot] = tuple(text[: past + token + 1])

    @precondition(lambda self: self.texts)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.texts)))
        self.cache.free(number)
        del self.texts[number], self.computed[number]

    @rule()
    def clear(self) -> None:
        self.cache.clear()

    @rule()
    def open_anew(self) -> None:
        """Another process, with the tiers that this one leaves."""
        for number in self.texts:
            self.cache.free(number)
        self.cache.save_all()
        self.texts, self.computed = {}, {}
        self.slots.clear()
        self.slots[0] = ()
        self.cache = self.open()

    @invariant()
    def counts_agree(self) -> None:
        if hasattr(self, "cache"):
            self.cache.check_integrity()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def written(cache: PagedCache, sequence: int, text: list[int]) -> None:
    """Compute a text in one pass."""
    found = cache.admit(sequence, np.array(text), 0)
    assert found is not None
    assert cache.allocate(sequence, len(text))
    cache.commit(sequence, np.array(text))


def test_a_prompt_is_found_up_to_its_last_full_block() -> None:
    cache = PagedCache(40, BLOCK, num_states=12, state_interval=INTERVAL)
    text = list(range(19))
    written(cache, 1, text)
    cache.free(1)
    assert cache.num_cached_states == 5  # behind 18, 14, 10, 6 and 2 tokens
    assert cache.admit(2, np.array(text), 0) == 18
    assert cache.admit(3, np.array([*text[:13], 99, 99]), 0) == 10
    assert cache.admit(4, np.array([99, *text]), 0) == 0


def test_states_that_were_used_longest_ago_make_room() -> None:
    cache = PagedCache(40, BLOCK, num_states=4, state_interval=INTERVAL)
    for number, start in enumerate((0, 50, 100)):
        written(cache, number, list(range(start, start + 9)))
        cache.free(number)
    cache.check_integrity()
    assert cache.num_cached_states == 3
    assert cache.admit(9, np.arange(100, 109), 0) == 8
    assert cache.admit(8, np.arange(9), 0) == 0


@pytest.mark.parametrize("num_states", [4, 5])
def test_each_running_sequence_is_sure_of_two_states(num_states: int) -> None:
    cache = PagedCache(90, BLOCK, num_states=num_states, state_interval=INTERVAL)
    for sequence in range(2):
        assert cache.admit(sequence, np.arange(30), 0) == 0
        assert cache.allocate(sequence, 30)
    assert cache.admit(2, np.arange(30), 0) is None
    assert not cache.allocate(0, 33, 3)
    cache.free(1)
    assert cache.admit(2, np.arange(30), 0) is not None


def test_a_sequence_that_begins_beside_a_pass_with_room_has_room_for_its_own() -> None:
    cache = PagedCache(90, BLOCK, num_states=8, state_interval=INTERVAL)
    for number, start in enumerate((0, 50, 100, 150)):
        written(cache, number, list(range(start, start + 9)))
    cache.free(3)
    assert cache.allocate(0, 10)
    assert cache.admit(4, np.arange(150, 159), 0) == 8
    assert cache.allocate(4, 9)
    cache.check_integrity()


def test_states_come_back_from_their_tier_with_their_blocks() -> None:
    slots: dict[int, Any] = {}
    tiers = {"tier": MemoryTier(defaultdict(bytes)), "state_tier": MemoryTier(slots)}
    cache = PagedCache(40, BLOCK, num_states=6, state_interval=INTERVAL, **tiers)
    text = np.arange(8)
    assert cache.admit(1, text, 0) == 0
    assert cache.allocate(1, 8)
    steps = cache.state_steps(1, 8)
    assert steps is not None
    slots[steps.slots[-1]] = "behind 8 tokens"
    slots.update((slot, "behind fewer") for slot in steps.slots[:-1])
    cache.commit(1, text)
    cache.free(1)
    cache.save_all()
    slots.clear()
    again = PagedCache(40, BLOCK, num_states=6, state_interval=INTERVAL, **tiers)
    assert again.admit(2, np.arange(9), 0) == 8
    assert list(slots.values()) == ["behind 8 tokens"]


def test_without_sharing_a_pass_keeps_the_state_at_its_end() -> None:
    cache = PagedCache(40, BLOCK, num_states=6, state_interval=INTERVAL, sharing=False)
    assert cache.admit(1, np.arange(19), 0) == 0
    assert cache.allocate(1, 19)
    steps = cache.state_steps(1, 19)
    assert steps is not None
    assert len(steps.slots) == 2
    assert cache.commit(1, np.arange(19)) == 19
