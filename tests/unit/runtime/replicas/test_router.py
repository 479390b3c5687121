from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoaccel.runtime.replicas.router import HORIZON, Capacity, Router, prefix_chain

BLOCK = 4
BIG = Capacity(1.0, 1 << 20)


def tokens(text: str) -> bytes:
    return np.array([ord(letter) for letter in text], np.int32).tobytes()


class Desk:
    """Sends prompts where the router says."""

    def __init__(self, *capacities: Capacity, block_size: int = BLOCK) -> None:
        self.router = Router(capacities, block_size)
        self.count = 0

    def send(self, text: str, limit: int = 10) -> int:
        """The place it is sent to; its number is that of the call, from 0."""
        chain = self.router.chain(tokens(text))
        place = self.router.choose(len(text), chain)
        assert place is not None
        self.router.begin(self.count, place, tokens=len(text), chain=chain, limit=limit)
        self.count += 1
        self.router.check_integrity()
        return place


def test_chain_names_whole_prefixes() -> None:
    chain = prefix_chain(tokens("abcdefghi"), BLOCK)
    assert len(chain) == 2
    assert prefix_chain(tokens("abcdefgX"), BLOCK)[0] == chain[0]
    assert prefix_chain(tokens("abcdefgX"), BLOCK)[1] != chain[1]
    assert prefix_chain(tokens("Xbcdefgh"), BLOCK)[1] != chain[1]
    assert prefix_chain(tokens("abc"), BLOCK) == ()


def test_router_spreads_equal_loads() -> None:
    desk = Desk(BIG, BIG, BIG)
    places = [desk.send(f"{number} is another prompt") for number in range(9)]
    assert sorted(places) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_router_spreads_requests_that_come_one_after_the_other() -> None:
    desk = Desk(BIG, BIG)
    places = []
    for number in range(4):
        places.append(desk.send(f"{number} is another prompt"))
        desk.router.end(number)
    assert places == [0, 1, 0, 1]


def test_router_follows_a_prefix_while_loads_are_alike() -> None:
    desk = Desk(BIG, BIG)
    shared = "s" * 400
    place = desk.send(shared)
    desk.router.end(0)
    for number in range(1, 6):
        assert desk.send(shared + str(number)) == place
        desk.router.end(number)


def test_router_leaves_a_prefix_whose_engine_has_more_to_do_than_it_saves() -> None:
    desk = Desk(BIG, BIG)
    shared = "s" * 300
    place = desk.send(shared, limit=HORIZON)
    desk.router.wrote(0, 1)
    followers = [desk.send(shared + str(number), limit=HORIZON) for number in range(5)]
    assert followers[:2] == [place, place]
    assert 1 - place in followers


def test_router_counts_a_prompt_until_its_first_token() -> None:
    desk = Desk(BIG, BIG)
    desk.send("a" * 1000)
    assert [desk.send("b" * 300), desk.send("c" * 300)] == [1, 1]
    desk.router.wrote(0, 1)
    assert desk.send("d" * 30) == 0


def test_router_compares_by_speed() -> None:
    desk = Desk(Capacity(1.0, 1 << 20), Capacity(3.0, 1 << 20))
    places = [desk.send(f"{number} and a prompt") for number in range(8)]
    assert places.count(1) == 6


def test_router_avoids_a_cache_that_is_full() -> None:
    desk = Desk(Capacity(1.0, 40), BIG)
    places = [desk.send(str(number) * 31, limit=1) for number in range(6)]
    assert places.count(0) < places.count(1)


def test_router_without_prefix_cache_knows_no_prefixes() -> None:
    desk = Desk(BIG, BIG, block_size=0)
    places = []
    for number in range(4):
        places.append(desk.send("s" * 400))
        desk.router.end(number)
    assert places == [0, 1, 0, 1]


def test_router_never_chooses_an_engine_that_is_lost() -> None:
    desk = Desk(BIG, BIG)
    shared = "s" * 400
    place = desk.send(shared)
    desk.router.lose(place)
    desk.router.end(0)
    assert desk.send(shared) == 1 - place
    desk.router.lose(1 - place)
    assert desk.router.choose(3, ()) is None
    desk.router.restore(place, BIG)
    assert desk.router.choose(3, ()) == place


def test_router_forgets_what_an_engine_cannot_hold() -> None:
    desk = Desk(Capacity(1.0, 10 * BLOCK))
    for number in range(30):
        desk.send(f"{number:4}" * 3)
        desk.router.end(number)
    desk.router.max_blocks = 3
    desk.send("z" * 40)


ACTIONS = st.one_of(
    st.tuples(st.just("send"), st.text("ab", min_size=1, max_size=40), st.integers(1, 300)),
    st.tuples(st.just("wrote"), st.integers(0, 30), st.integers(1, 5)),
    st.tuples(st.just("end"), st.integers(0, 30), st.just(0)),
    st.tuples(st.just("lose"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("restore"), st.integers(0, 2), st.just(0)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTIONS, max_size=60))
def test_router_keeps_its_sums_whatever_happens(actions: list[tuple[str, object, int]]) -> None:
    router = Router([Capacity(float(1 + place), 60) for place in range(3)], BLOCK)
    alive, places = {0, 1, 2}, dict[int, int]()
    for number, (action, value, amount) in enumerate(actions):
        if action == "send":
            chain = router.chain(tokens(str(value)))
            place = router.choose(len(str(value)), chain)
            assert (place is None) == (not alive)
            if place is not None:
                assert place in alive
                router.begin(number, place, tokens=len(str(value)), chain=chain, limit=amount)
                places[number] = place
        elif action == "lose":
            router.lose(int(str(value)))
            alive.discard(int(str(value)))
        elif action == "restore":
            router.restore(int(str(value)), Capacity(1.0, 80))
            alive.add(int(str(value)))
        elif int(str(value)) in places:
            if action == "wrote":
                router.wrote(int(str(value)), amount)
            else:
                router.end(int(str(value)))
                del places[int(str(value))]
        router.check_integrity()


def test_router_keeps_prompts_with_different_keys_apart() -> None:
    router = Router([BIG, BIG], BLOCK)
    prompt = tokens("s" * 40)
    plain, other = router.chain(prompt), router.chain(prompt, b"adapter")
    assert len(plain) == len(other) > 0
    assert not set(plain) & set(other)
    router.begin(0, 1, tokens=40, chain=other, limit=1)
    router.end(0)
    assert router.choose(40, other) == 1
    assert router.choose(40, plain) == 0
