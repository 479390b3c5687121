from __future__ import annotations

import pytest
from support.scheduling import Simulation, text_alone

from nanoaccel.runtime.kv.token_eviction import CacheEviction
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.scheduling.token_budget import MIN_CHUNK
from nanoaccel.testing.engines import VOCAB_SIZE, letter_tokenizer
from nanoaccel.text import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return letter_tokenizer(tmp_path_factory.mktemp("letters"))


def ids(simulation: Simulation) -> list[int]:
    """The requests of the next step."""
    return [request for request, _, _ in simulation.plan()]


@pytest.mark.parametrize(("copies", "cached"), [(False, 8), (True, 9)])
def test_scheduler_starts_behind_what_is_cached(
    tokenizer: Tokenizer, copies: bool, cached: int
) -> None:
    simulation = Simulation(tokenizer, copies=copies)
    simulation.submit([1] * 10)
    simulation.run()
    again = simulation.submit([1] * 10)
    assert simulation.plan() == [(1, cached, 10)]
    assert again.num_cached_at_start == cached


def full(tokenizer: Tokenizer) -> tuple[Simulation, list[Request]]:
    """Three decoding requests that fill the cache, one block each to grow: 2 is the lowest."""
    simulation = Simulation(tokenizer, num_blocks=10)
    priorities = (0, 1, 0)
    requests = [
        simulation.submit([first] * 7, max_tokens=20, priority=priority)
        for first, priority in enumerate(priorities)
    ]
    simulation.step()
    return simulation, requests


def test_scheduler_takes_blocks_from_the_youngest_of_the_lowest_priority(
    tokenizer: Tokenizer,
) -> None:
    simulation, requests = full(tokenizer)
    while simulation.scheduler.num_preemptions == 0:
        simulation.step()
    assert [request.num_preemptions for request in requests] == [0, 0, 1]
    while simulation.scheduler.num_preemptions == 1:
        simulation.step()
    assert requests[1].num_preemptions == 0
    simulation.run()


def test_scheduler_resumes_before_later_requests_with_what_is_still_cached(
    tokenizer: Tokenizer,
) -> None:
    simulation, requests = full(tokenizer)
    while requests[2].num_preemptions == 0:
        simulation.step()
    simulation.cancel(requests[1])
    simulation.submit([9] * 3)
    known = requests[2].num_known
    chunks = simulation.plan()
    assert [chunk[0] for chunk in chunks[:2]] == [0, 2]
    assert chunks[1][1] > 0
    assert chunks[1][2] == known
    simulation.run()


def test_scheduler_takes_a_place_for_a_higher_priority(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_running=2)
    first = simulation.submit([1] * 5, max_tokens=20)
    second = simulation.submit([2] * 5, max_tokens=20)
    simulation.step()
    simulation.submit([3] * 5, priority=1)
    assert ids(simulation) == [0, 2]
    assert (first.num_preemptions, second.num_preemptions) == (0, 1)


def test_scheduler_gives_on_the_tokens_of_whom_it_took_the_place(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_running=2, target=0.001)
    for first in (1, 2):
        simulation.submit([first], max_tokens=20)
    simulation.step()
    simulation.submit([3] * 30, priority=1)
    assert simulation.plan() == [(0, 1, 2), (2, 0, MIN_CHUNK + 1)]


def test_scheduler_takes_blocks_for_a_higher_priority(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, num_blocks=8)
    simulation.submit([1] * 11)
    simulation.submit([2] * 3)
    simulation.submit([3] * 3)
    simulation.step()
    simulation.submit([4] * 15, priority=1)
    assert ids(simulation) == [0, 3]
    assert simulation.scheduler.num_preemptions == 2
    simulation.run()


def test_scheduler_takes_nothing_from_the_same_priority(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, num_blocks=8, max_running=2)
    for first in range(4):
        simulation.submit([first] * 5, max_tokens=3, priority=first // 2)
    simulation.run()
    assert simulation.scheduler.num_preemptions == 0


def test_scheduler_takes_nothing_in_vain(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, num_blocks=8)
    simulation.submit([1] * 20, max_tokens=4, priority=1)
    simulation.submit([2] * 3, max_tokens=4)
    simulation.step()
    simulation.submit([3] * 20, priority=1)
    assert ids(simulation) == [0, 1]
    assert simulation.scheduler.num_preemptions == 0


def test_scheduler_runs_a_request_that_fills_the_cache(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, num_blocks=6)
    large = simulation.submit([1] * 4, max_tokens=20)
    others = [simulation.submit([first] * 4, max_tokens=20) for first in (2, 3)]
    simulation.run()
    assert large.num_preemptions == 0
    assert [request.num_generated for request in (large, *others)] == [20, 20, 20]


def test_scheduler_gives_no_request_back_its_place_in_the_same_step(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_running=2)
    simulation.submit([1] * 9, max_tokens=20)
    simulation.step()
    simulation.submit([2] * 5, max_tokens=20, priority=1)
    simulation.submit([3] * 5, max_tokens=20, priority=1)
    assert ids(simulation) == [1, 2]
    assert simulation.scheduler.num_preemptions == 1


@pytest.mark.parametrize("length", [13, 70])
def test_scheduler_computes_a_shared_prompt_once(tokenizer: Tokenizer, length: int) -> None:
    simulation = Simulation(tokenizer, max_step_tokens=32)
    requests = [simulation.submit([5] * length, max_tokens=1) for _ in range(4)]
    simulation.run()
    shared = (length - 1) // 4 * 4
    assert [r.num_cached_at_start for r in requests] == [0, shared, shared, shared]
    assert simulation.num_computed == length + 3 * (length - shared)


def test_scheduler_does_not_wait_for_a_block_that_cannot_be_taken(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer)
    for _ in range(2):
        simulation.submit([5] * 4)
    assert ids(simulation) == [0, 1]


def test_scheduler_does_not_wait_for_one_that_dropped_tokens(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_step_tokens=100)
    simulation.submit([5] * 50, eviction=CacheEviction(16, start_tokens=4))
    simulation.submit([5] * 50)
    assert simulation.plan() == [(0, 0, 16)]
    assert simulation.plan() == [(0, 16, 20), (1, 16, 50)]


def test_scheduler_does_not_wait_for_other_prompts(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer)
    for own in (1, 2, 3):
        simulation.submit([7, 7, 7, own, 1, 2])
    assert ids(simulation) == [0, 1, 2]


@pytest.mark.parametrize(("common", "first"), [(1, [0, 1, 2]), (2, [0]), (3, [0])])
def test_scheduler_waits_for_half_a_block_that_can_be_copied(
    tokenizer: Tokenizer, common: int, first: list[int]
) -> None:
    simulation = Simulation(tokenizer, copies=True)
    prompts = [[7] * common + [own] * 5 for own in (1, 2, 3)]
    requests = [simulation.submit(prompt) for prompt in prompts]
    assert ids(simulation) == first
    if len(first) == 1:
        assert simulation.plan()[1:] == [(1, common, common + 5), (2, common, common + 5)]
        for prompt in prompts:  # what was copied once is there
            requests.append(simulation.submit([*prompt[:-1], 9]))
        assert {0, 1, 2, 3, 4, 5} == set(ids(simulation))
    simulation.run()
    for request in requests:
        prompt = request.tokens(0, request.num_prompt).tolist()
        assert simulation.generated(request) == text_alone(prompt, 8, None, 4, VOCAB_SIZE)


def test_scheduler_does_not_wait_for_a_cache_that_shares_nothing(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, sharing=False)
    for _ in range(3):
        simulation.submit([5] * 9)
    assert ids(simulation) == [0, 1, 2]


def test_scheduler_ends_chunks_where_tokens_must_be_dropped(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_step_tokens=100)
    request = simulation.submit([1] * 50, eviction=CacheEviction(35, start_tokens=4))
    chunks = [simulation.plan()[0] for _ in range(6)]
    assert [(start, end) for _, start, end in chunks] == [
        (0, 32),
        (32, 36),
        (36, 40),
        (40, 44),
        (44, 48),
        (48, 50),
    ]
    assert (request.num_evicted, request.num_cached) == (20, 30)
    simulation.run()


def test_scheduler_admits_a_long_prompt_by_the_tokens_it_may_hold(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, num_blocks=8)
    request = simulation.submit([1] * 500, eviction=CacheEviction(32, start_tokens=4))
    simulation.run()
    assert request.num_generated == 8


@pytest.mark.parametrize("by", ["position", "score"])
@pytest.mark.parametrize(("num_blocks", "admitted"), [(9, [0, 1]), (8, [0])])
def test_scheduler_needs_room_for_all_that_a_request_may_hold(
    tokenizer: Tokenizer, by: str, num_blocks: int, admitted: list[int]
) -> None:
    simulation = Simulation(tokenizer, num_blocks=num_blocks + 1)
    simulation.submit([1] * 3)
    eviction = CacheEviction(32, start_tokens=4, by=by)  # type: ignore[arg-type]
    simulation.submit([2] * 40, eviction=eviction)
    assert ids(simulation) == admitted


@pytest.mark.parametrize(
    ("copies", "by", "cached"),
    [(False, "position", 28), (True, "position", 31), (False, "score", 0), (True, "score", 0)],
)
def test_scheduler_starts_a_request_that_drops_tokens_behind_few(
    tokenizer: Tokenizer, copies: bool, by: str, cached: int
) -> None:
    simulation = Simulation(tokenizer, copies=copies)
    simulation.submit([1] * 60)
    simulation.run()
    eviction = CacheEviction(32, start_tokens=4, by=by)  # type: ignore[arg-type]
    request = simulation.submit([1] * 60, eviction=eviction)
    simulation.step()
    assert request.num_cached_at_start == cached
    simulation.run()
