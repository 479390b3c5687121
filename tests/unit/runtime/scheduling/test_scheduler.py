from __future__ import annotations

import pytest
from support.scheduling import Simulation

from nanoaccel.errors import QueueFullError
from nanoaccel.runtime.sampling import Sampled
from nanoaccel.runtime.scheduling.token_budget import FIRST_CHUNK, MIN_CHUNK
from nanoaccel.testing.engines import letter_tokenizer
from nanoaccel.text import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return letter_tokenizer(tmp_path_factory.mktemp("letters"))


def ids(simulation: Simulation) -> list[int]:
    """The requests of the next step."""
    return [request for request, _, _ in simulation.plan()]


def test_scheduler_with_nothing_to_do_plans_nothing(tokenizer: Tokenizer) -> None:
    assert Simulation(tokenizer).plan() == []


def test_scheduler_cuts_prompts_to_the_step_budget(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_step_tokens=10)
    simulation.submit([1] * 25)
    assert simulation.plan() == [(0, 0, 10)]
    assert simulation.plan() == [(0, 10, 20)]
    assert simulation.plan() == [(0, 20, 25)]
    assert simulation.plan() == [(0, 25, 26)]


def test_scheduler_fills_a_step_with_several_prompts(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_step_tokens=10)
    for first, length in enumerate((4, 3, 8)):
        simulation.submit([first] * length)
    assert simulation.plan() == [(0, 0, 4), (1, 0, 3), (2, 0, 3)]


def test_scheduler_takes_decodes_then_running_prompts_then_waiting_ones(
    tokenizer: Tokenizer,
) -> None:
    simulation = Simulation(tokenizer, max_step_tokens=20)
    simulation.submit([1] * 17)
    simulation.submit([2] * 12)
    simulation.submit([3] * 9)
    assert simulation.plan() == [(0, 0, 17), (1, 0, 3)]
    (decode, running, waiting) = simulation.plan()
    assert (decode, running) == ((0, 17, 18), (1, 3, 12))
    assert waiting[:2] == (2, 0)


def test_scheduler_takes_forced_tokens_before_prompts_of_higher_rank(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_step_tokens=10)
    request = simulation.submit([1, 2], max_tokens=20)
    assert simulation.plan() == [(0, 0, 2)]
    simulation.submit([3] * 50, priority=1)
    assert simulation.plan() == [(0, 2, 3), (1, 0, 9)]
    for token in (4, 5, 6):
        request.append(Sampled(token), 0.0)
    request._num_forced = 3
    assert simulation.plan() == [(0, 3, 7), (1, 9, 15)]


def test_scheduler_gives_prompts_what_decodes_can_bear(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_step_tokens=100)
    simulation.submit([1], max_tokens=50)
    assert simulation.plan() == [(0, 0, 1)]
    simulation.submit([2] * 90)
    ((_, _, _), (_, _, end)) = simulation.plan()
    assert MIN_CHUNK <= end < 25


def test_scheduler_tells_the_budget_which_prompts_came_with_those_who_decode(
    tokenizer: Tokenizer,
) -> None:
    simulation = Simulation(tokenizer, max_step_tokens=10, max_running=5)
    asked = []
    tokens = simulation.budget.tokens

    def ask(decodes: int, prompts: int, *, together: bool) -> int:
        asked.append((decodes, prompts, together))
        return tokens(decodes, prompts, together=together)

    simulation.budget.tokens = ask  # type: ignore[method-assign]
    for token in range(2):
        simulation.submit([token] * 10, max_tokens=50)
    simulation.step()
    assert asked[-1] == (0, 2, True)
    simulation.submit([3] * 10)
    simulation.step()
    assert asked[-1] == (1, 2, True), "the second came with the first"
    while asked[-1][0] == 1:
        simulation.step()
    assert asked[-1] == (2, 1, False), "the third came later"
    for token in range(4, 9):
        simulation.submit([token] * 10)
    simulation.scheduler.schedule()
    assert asked[-1][1] == 3, "those who find no place do not count"


def test_scheduler_gives_prompts_little_before_costs_are_known(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_step_tokens=100)
    simulation.cost.observe = lambda *_: None  # type: ignore[method-assign]
    simulation.submit([1], max_tokens=50)
    simulation.step()
    simulation.submit([2] * 90)
    assert simulation.plan() == [(0, 1, 2), (1, 0, FIRST_CHUNK)]


def test_scheduler_lets_prompts_go_on_when_the_target_cannot_be_met(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_step_tokens=100, target=0.001)
    simulation.submit([1], max_tokens=50)
    simulation.step()
    simulation.submit([2] * 90)
    assert simulation.plan() == [(0, 1, 2), (1, 0, MIN_CHUNK)]


def test_scheduler_admits_no_more_than_max_running(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_running=2)
    for _ in range(3):
        simulation.submit([1, 2])
    assert ids(simulation) == [0, 1]
    assert (simulation.scheduler.num_running, simulation.scheduler.num_waiting) == (2, 1)


def test_scheduler_lets_no_request_overtake_one_that_does_not_fit(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, num_blocks=5, max_step_tokens=100)
    first = simulation.submit([1] * 9, max_tokens=4)
    simulation.submit([2] * 9, max_tokens=4)
    simulation.submit([3], max_tokens=4)
    while first.finish_reason is None:
        assert ids(simulation) == [0]
    assert ids(simulation) == [1, 2]


def test_scheduler_leaves_a_block_for_each_running_request(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, num_blocks=4)
    for first in range(3):
        simulation.submit([first] * 3)
    assert ids(simulation) == [0, 1]


def test_scheduler_leaves_room_for_the_first_new_token(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, num_blocks=3)
    simulation.submit([1] * 2)
    simulation.submit([2] * 4)
    assert ids(simulation) == [0]


def test_scheduler_starts_higher_priorities_first(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_running=4)
    for priority in (0, 5, 0, 9):
        simulation.submit([priority] * 3, priority=priority)
    assert ids(simulation) == [3, 1, 0, 2]


def test_scheduler_starts_a_higher_priority_before_a_running_prompt(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_step_tokens=10)
    simulation.submit([1] * 30)
    simulation.step()
    simulation.submit([2] * 3)
    simulation.submit([3] * 3, priority=1)
    assert simulation.plan() == [(2, 0, 3), (0, 10, 17)]


def test_scheduler_refuses_more_waiting_requests_than_allowed(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_running=1, max_waiting=2)
    simulation.submit([1], max_tokens=3)
    simulation.submit([2])
    assert simulation.scheduler.room == 0
    with pytest.raises(QueueFullError, match="max_waiting=2 requests wait already"):
        simulation.submit([3])
    simulation.step()
    assert simulation.scheduler.room == 1
    simulation.run()
    assert simulation.scheduler.room == 2


def test_scheduler_never_refuses_for_those_that_gave_up_their_blocks(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_running=1, max_waiting=1)
    low = simulation.submit([1] * 4)
    simulation.step()
    high = simulation.submit([2] * 4, priority=1)
    simulation.step()
    assert low.num_preemptions == 1
    assert (simulation.scheduler.num_waiting, simulation.scheduler.room) == (1, 1)
    simulation.submit([3])
    assert simulation.scheduler.room == 0
    simulation.cancel(low)
    assert simulation.scheduler.room == 0
    simulation.cancel(high)
    simulation.run()
    assert simulation.scheduler.room == 1


def test_scheduler_counts_a_request_that_resumed_no_more(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_running=1, max_waiting=2)
    low = simulation.submit([1] * 4)
    simulation.step()
    high = simulation.submit([2] * 4, priority=1)
    simulation.step()
    simulation.cancel(high)
    simulation.step()
    assert (low.num_preemptions, simulation.scheduler.num_running) == (1, 1)
    simulation.submit([3])
    assert simulation.scheduler.room == 1


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_scheduler_removes_a_request_at_any_time(tokenizer: Tokenizer, steps: int) -> None:
    simulation = Simulation(tokenizer, max_running=1, max_step_tokens=10)
    requests = [simulation.submit([first] * 12) for first in range(2)]
    for _ in range(steps):
        simulation.step()
    for request in requests:
        simulation.cancel(request)
        simulation.cache.check_integrity()
    assert not simulation.has_work
    assert simulation.cache.num_free == simulation.cache.num_blocks


def test_scheduler_expires_requests_whose_deadline_has_come(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer, max_running=2)
    simulation.submit([1] * 5, max_tokens=100, timeout=1.0)
    simulation.submit([2] * 5, max_tokens=100)
    simulation.submit([3] * 5, timeout=0.5)
    simulation.submit([4] * 5, timeout=9.0)
    simulation.step()
    assert simulation.ended == {}
    simulation.time = 0.5
    simulation.step()
    assert simulation.ended == {2: "timeout"}
    simulation.time = 1.5
    assert ids(simulation) == [1, 3]
    assert simulation.ended == {2: "timeout", 0: "timeout"}


def test_scheduler_expires_no_request_that_has_ended(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer)
    simulation.submit([1], max_tokens=1, timeout=0.5)
    simulation.cancel(simulation.submit([2], timeout=0.5))
    simulation.run()
    simulation.time = 1.0
    assert simulation.scheduler.expire() == []


def test_scheduler_keeps_no_deadlines_of_ended_requests(tokenizer: Tokenizer) -> None:
    simulation = Simulation(tokenizer)
    simulation.submit([1], timeout=10.0)
    for _ in range(200):
        simulation.cancel(simulation.submit([2], timeout=100.0))
    assert len(simulation.scheduler._deadlines._heap) < 30
    simulation.time = 20.0
    assert [request.id for request in simulation.scheduler.expire()] == [0]
