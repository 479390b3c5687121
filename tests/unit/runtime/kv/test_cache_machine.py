from __future__ import annotations

from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nanoaccel.registry import EVICTION_POLICIES
from nanoaccel.testing.checked_cache import CheckedCache

NUM_BLOCKS = 9
MOST = 5
FILLER = -1
CHOICES = st.integers(0, 4)
TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=13)
some_run = precondition(lambda machine: bool(machine.checked.known))


class CacheMachine(RuleBasedStateMachine):
    """Sequences over two tokens come, share, grow, forget and go; every content is checked."""

    policy = "lru"
    tiered = False
    size = 2
    copies = False

    def __init__(self) -> None:
        super().__init__()
        policy = EVICTION_POLICIES.resolve(self.policy)()
        self.checked = CheckedCache(
            NUM_BLOCKS, self.size, policy=policy, tiered=self.tiered, copies=self.copies
        )
        self.cache = self.checked.cache
        self.numbers = count()

    @precondition(lambda self: len(self.checked.known) < MOST)
    @rule(tokens=TOKENS, reserve=st.integers(0, 2), need=st.none() | st.integers(1, 4))
    def begin(self, tokens: list[int], reserve: int, need: int | None) -> None:
        sequence = next(self.numbers)
        before = (self.cache.num_free, self.cache.num_cached)
        owned = self.owned_blocks(tokens)
        hits = self.checked.begin(sequence, tokens, reserve, need)
        wanted = self.cache.blocks_for(len(tokens) + 1)
        wanted = wanted if need is None else min(wanted, need)
        if hits is None:
            assert before == (self.cache.num_free, self.cache.num_cached)
            assert before[0] < wanted + reserve - min(owned, wanted - 1)
        else:
            full = hits // self.size
            assert hits % self.cache.granularity == 0
            assert hits < len(tokens)
            assert full >= min(owned, (len(tokens) - 1) // self.size, wanted - 1)
            assert self.cache.num_free >= wanted + reserve - self.cache.blocks_for(hits)

    def owned_blocks(self, tokens: list[int]) -> int:
        """The longest chain of a prefix that a sequence certainly keeps findable."""
        longest = 0
        for known in self.checked.known.values():
            computed = known.tokens[: known.computed].tolist()
            same = [left == right for left, right in zip(computed, tokens, strict=False)]
            if not known.dropped:
                longest = max(longest, [*same, False].index(False) // self.size)
        return min(longest, (len(tokens) - 1) // self.size)

    def any_of(self, choice: int) -> int:
        """One of the sequences."""
        return sorted(self.checked.known)[choice % len(self.checked.known)]

    @some_run
    @rule(choice=CHOICES, count=st.integers(1, 8))
    def compute(self, choice: int, count: int) -> None:
        sequence = self.any_of(choice)
        known = self.checked.known[sequence]
        count = min(count, len(known.tokens) - known.computed)
        end = known.computed + count - self.size * known.dropped
        missing = self.cache.blocks_for(end) - len(known.held)
        free = self.cache.num_free
        assert self.checked.compute(sequence, count) == (missing <= free)

    @some_run
    @rule(choice=CHOICES, tokens=TOKENS)
    def extend(self, choice: int, tokens: list[int]) -> None:
        self.checked.extend(self.any_of(choice), tokens[:4])

    @some_run
    @rule(choice=CHOICES, places=st.sets(st.integers(0, 5), min_size=1))
    def drop(self, choice: int, places: set[int]) -> None:
        sequence = self.any_of(choice)
        known = self.checked.known[sequence]
        full = known.computed // self.size - known.dropped
        self.checked.drop(sequence, [place for place in places if place < full])

    @some_run
    @rule(choice=CHOICES)
    def end(self, choice: int) -> None:
        self.checked.end(self.any_of(choice))

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        assert self.cache.num_cached == 0

    @rule()
    def fill(self) -> None:
        """All that is said to be free can be had, and no more."""
        free = self.cache.num_free
        assert not self.cache.allocate(FILLER, self.size * free + 1)
        assert self.cache.allocate(FILLER, self.size * free)
        self.cache.check_integrity()
        self.cache.free(FILLER)

    @rule(refuses=st.booleans(), damaged=st.booleans())
    def disturb(self, refuses: bool, damaged: bool) -> None:
        self.checked.tier.refuses = refuses
        self.checked.tier.damaged = damaged

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        self.checked.check()


@pytest.mark.parametrize(("size", "copies"), [(2, False), (3, True)], ids=["whole", "copies"])
@pytest.mark.parametrize("tiered", [False, True], ids=["memory", "tier"])
@pytest.mark.parametrize("policy", EVICTION_POLICIES.names())
def test_cache_holds_the_right_contents_whatever_happens(
    policy: str, tiered: bool, size: int, copies: bool
) -> None:
    kind = {"policy": policy, "tiered": tiered, "size": size, "copies": copies}
    machine = type("Machine", (CacheMachine,), kind)
    run_state_machine_as_test(
        machine, settings=settings(max_examples=20, stateful_step_count=40, deadline=None)
    )
