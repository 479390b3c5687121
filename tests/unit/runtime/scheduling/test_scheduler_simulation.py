"""Random workloads; ``Simulation.step`` asserts what must hold in each step."""

from __future__ import annotations

from random import Random

import pytest
from support.scheduling import Simulation, text_alone

from nanoaccel.runtime.kv.token_eviction import CacheEviction
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.testing.engines import VOCAB_SIZE, letter_tokenizer
from nanoaccel.text import Tokenizer

_EVICTIONS = (
    CacheEviction(16, start_tokens=4),
    CacheEviction(33, start_tokens=0),
    CacheEviction(24, start_tokens=4, recent_tokens=5, by="score"),
    CacheEviction(40, start_tokens=8, by="score"),
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return letter_tokenizer(tmp_path_factory.mktemp("letters"))


class Workload:
    """Requests that come, and some that are cancelled, as the dice say."""

    def __init__(self, tokenizer: Tokenizer, seed: int, *, evicting: bool, mixed: bool) -> None:
        self.random = random = Random(seed)
        self.evicting, self.mixed = evicting, mixed
        self.simulation = Simulation(
            tokenizer,
            num_blocks=random.choice((14, 14, 18, 30)),
            max_step_tokens=random.choice((1, 7, 32, 64, 64)),
            max_running=random.choice((1, 3, 6, 6)),
            max_waiting=1000,
            target=random.choice((None, None, 0.012)),
            sharing=random.random() < 0.8,
            copies=seed % 2 == 0,
        )
        self.prefixes = [[random.randrange(30) for _ in range(24)] for _ in range(2)]
        self.requests: list[Request] = []
        self.most: dict[int, int] = {}

    def run(self) -> None:
        arrivals = self.random.randint(1, 7)
        rate = self.random.choice((0.2, 1.0))
        while arrivals > 0 or self.simulation.has_work:
            while arrivals > 0 and self.random.random() < rate:
                self._submit()
                arrivals -= 1
            if self.mixed and self.requests and self.random.random() < 0.05:
                self.simulation.cancel(self.random.choice(self.requests))
            self.simulation.step()
        self.simulation.run()

    def _submit(self) -> None:
        random = self.random
        max_tokens = random.choice((1, 12, 20, 20))
        shared = random.choice(self.prefixes)[: random.choice((0, 3, 8, 9, 24))]
        own = [random.randrange(30) for _ in range(random.choice((1, 2, 8)))]
        request = self.simulation.submit(
            shared + own,
            max_tokens=max_tokens,
            priority=random.choice((-1, 0, 0, 0, 2)) if self.mixed else 0,
            timeout=random.choice((None, None, None, 0.0, 0.3)) if self.mixed else None,
            eviction=random.choice(_EVICTIONS) if self.evicting else None,
        )
        self.requests.append(request)
        self.most[request.id] = max_tokens


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("evicting", [False, True])
def test_scheduler_random_workloads_end_with_the_text_of_each_request_alone(
    tokenizer: Tokenizer, evicting: bool, mixed: bool
) -> None:
    for seed in range(250):
        workload = Workload(tokenizer, seed, evicting=evicting, mixed=mixed)
        try:
            workload.run()
            check_ends(workload)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def check_ends(workload: Workload) -> None:
    simulation = workload.simulation
    assert sorted(simulation.ended) == [request.id for request in workload.requests]
    for request in workload.requests:
        text = simulation.generated(request)
        prompt = request.tokens(0, request.num_prompt).tolist()
        expected = text_alone(prompt, len(text), request.eviction, 4, VOCAB_SIZE)
        assert text == expected, f"the text of {request.id} changed"
        if simulation.ended[request.id] == "length":
            assert request.num_generated == workload.most[request.id]
        else:
            assert workload.mixed
    for priority in {request.priority for request in workload.requests}:
        ids = [r.id for r in simulation.first_admitted if r.priority == priority]
        assert ids == sorted(ids), "not first come, first served"
    if not workload.mixed and not workload.evicting:
        check_preemptions(workload)


def check_preemptions(workload: Workload) -> None:
    """A request gives up its blocks only when another takes a new one for what it generated."""
    simulation = workload.simulation
    taken = sum(simulation.cache.blocks_for(most) for most in workload.most.values())
    assert simulation.scheduler.num_preemptions <= taken
