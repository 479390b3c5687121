"""A pass that fails ends the requests that it fails for, and no other."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest

from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.speculation.drafters import Drafter
from nanoaccel.runtime.types.plan import StepPlan, StepResult
from nanoaccel.testing.drafters import Always, Guesser, random_tokens
from nanoaccel.testing.engines import VOCAB_SIZE, Bench, quick
from nanoaccel.text import Tokenizer

POISON = VOCAB_SIZE - 2
Fails = Callable[[StepPlan], bool]


class Failing:
    """A forward pass that writes to the cache and then raises, where it is told to.

    Attributes:
        passes: How many there were.
        failed: How many of them raised.
    """

    def __init__(self, bench: Bench, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passes = self.failed = 0
        self._forward = bench.backend.forward
        self._fails = fails
        monkeypatch.setattr(bench.backend, "forward", self)

    def __call__(self, plan: StepPlan) -> StepResult:
        self.passes += 1
        result = self._forward(plan)
        if self._fails(plan):
            self.failed += 1
            result.logits[:] = math.nan
            raise RuntimeError("a bad place")
        return result


def poisoned(plan: StepPlan) -> bool:
    return POISON in plan.token_ids


def options(seed: int) -> dict[str, object]:
    random = Random(seed)
    sampled = {"temperature": 1.0, "top_k": 9, "seed": seed} if random.random() < 0.5 else {}
    held = CacheEviction(16, start_tokens=4) if random.random() < 0.3 else None
    return {
        "max_tokens": random.randint(1, 12),
        "ignore_eos": True,
        "logit_bias": {POISON: -1e9},
        "eviction": held,
        **sampled,
    }


def prompt(seed: int) -> list[int]:
    random = Random(f"prompt {seed}")
    return [random.randrange(POISON) for _ in range(random.randint(1, 40))]


def alone(tokenizer: Tokenizer, seed: int) -> tuple[int, ...]:
    bench = Bench(tokenizer, quick())
    request = bench.submit(prompt(seed), **options(seed))
    bench.run()
    return bench.result(request).token_ids


@pytest.mark.parametrize("guessing", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_engine_ends_the_guilty_alone_and_the_others_write_their_texts(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, seed: int, guessing: bool
) -> None:
    random = Random(seed)
    drafters: list[Drafter] = [Guesser(random_tokens(POISON, seed))] if guessing else []
    bench = Bench(
        tokenizer,
        quick(),
        drafters=drafters,
        controller=Always() if guessing else None,
        max_step_tokens=random.choice([8, 32, 100]),
        num_blocks=random.choice([30, 64, 200]),
    )
    Failing(bench, poisoned, monkeypatch)
    guilty: list[Request] = []
    innocent: dict[int, Request] = {}
    for number in range(12):
        if random.random() < 0.25:
            place = random.randint(0, 20)
            ids = [*prompt(number)[:place], POISON, *prompt(number)[place:]]
            guilty.append(bench.submit(ids, **options(number)))
        else:
            innocent[number] = bench.submit(prompt(number), **options(number))
        for _ in range(random.randint(0, 2)):
            bench.step()
    bench.run()
    for request in guilty:
        assert bench.result(request).finish_reason == "error"
        assert bench.result(request).error == "RuntimeError: a bad place"
    for number, request in innocent.items():
        assert bench.result(request).finish_reason == "length"
        assert bench.result(request).token_ids == alone(tokenizer, number)


@pytest.mark.parametrize("guessing", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_engine_failure_that_does_not_come_again_hurts_nobody(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, count: int, guessing: bool
) -> None:
    drafters: list[Drafter] = [Guesser(random_tokens(POISON, 3))] if guessing else []
    bench = Bench(tokenizer, quick(), drafters=drafters, controller=Always() if guessing else None)
    passes = Failing(bench, lambda _: passes.passes % 4 == 1, monkeypatch)
    requests = {number: bench.submit(prompt(number), **options(number)) for number in range(count)}
    bench.run()
    assert passes.failed > 1
    for number, request in requests.items():
        assert bench.result(request).token_ids == alone(tokenizer, number)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
def test_engine_backend_that_always_fails_ends_all_in_few_passes(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    bench = Bench(tokenizer, quick(), max_step_tokens=400, num_blocks=200)
    passes = Failing(bench, lambda _: True, monkeypatch)
    requests = [bench.submit(prompt(number), **options(number)) for number in range(count)]
    bench.run()
    assert all(bench.result(one).error == "RuntimeError: a bad place" for one in requests)
    assert passes.passes <= 2 * count


def test_engine_wrong_guess_that_no_pass_can_take_costs_no_request(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(
        tokenizer, quick(), drafters=[Guesser(random_tokens(VOCAB_SIZE, 1))], controller=Always()
    )
    passes = Failing(bench, poisoned, monkeypatch)
    requests = {number: bench.submit(prompt(number), **options(number)) for number in range(6)}
    bench.run()
    assert passes.failed > 0
    for number, request in requests.items():
        assert bench.result(request).token_ids == alone(tokenizer, number)


def test_engine_request_cancelled_during_a_pass_that_fails_is_not_run_again(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tokenizer, quick())

    def fails(plan: StepPlan) -> bool:
        if bench.engine.has_work and first.finish_reason is None:
            bench.engine.cancel(first)
        return poisoned(plan)

    Failing(bench, fails, monkeypatch)
    first = bench.submit([POISON, 1], max_tokens=4)
    second = bench.submit(prompt(2), **options(2))
    bench.run()
    assert bench.result(first).finish_reason == "cancelled"
    assert bench.result(second).token_ids == alone(tokenizer, 2)
