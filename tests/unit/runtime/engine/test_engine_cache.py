"""What a request writes does not depend on what the cache does, nor on who else runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.types.outputs import Completion
from nanoaccel.runtime.types.plan import StepPlan, StepResult
from nanoaccel.testing.engines import VOCAB_SIZE, Bench
from nanoaccel.text import Tokenizer

_BY_POSITION = CacheEviction(16, start_tokens=4)
_BY_SCORE = CacheEviction(24, start_tokens=4, recent_tokens=5, by="score")
_EVICTIONS = (None, _BY_POSITION, CacheEviction(33, start_tokens=0), _BY_SCORE)


def alone(tokenizer: Tokenizer, prompt: Sequence[int], **options: object) -> Completion:
    """What a request writes when nothing is shared, cut, given up or restored."""
    bench = Bench(tokenizer, max_step_tokens=1000, attention_scores=True)
    request = bench.submit(prompt, **options)
    bench.run()
    return bench.result(request)


class Workload:
    """Requests with common prefixes that come while others run, as the dice say."""

    def __init__(self, tokenizer: Tokenizer, seed: int, *, evicting: bool) -> None:
        self.tokenizer = tokenizer
        self.random = random = Random(seed)
        prefixes = [[random.randrange(VOCAB_SIZE) for _ in range(20)] for _ in range(2)]
        self.asked: list[tuple[list[int], dict[str, object]]] = []
        for _ in range(random.randint(2, 7)):
            shared = random.choice(prefixes)[: random.choice((0, 7, 8, 20))]
            own = [random.randrange(VOCAB_SIZE) for _ in range(random.choice((1, 2, 8)))]
            options = {
                "max_tokens": random.choice((1, 12, 20)),
                "temperature": random.choice((0.0, 1.0)),
                "seed": random.randrange(3),
                "ignore_eos": random.random() < 0.8,
                "stop": random.choice(((), ("ab", "z"))),
                "priority": random.choice((0, 0, 1)),
                "eviction": random.choice(_EVICTIONS) if evicting else None,
            }
            self.asked.append((shared + own, options))
        self.options = {
            "num_blocks": random.choice((12, 14, 30)),
            "max_step_tokens": random.choice((1, 7, 32, 64)),
            "max_running": random.choice((1, 3, 6)),
        }

    def run(self, folder: Path | None = None) -> tuple[list[Completion], Bench]:
        """Play it; what each request wrote."""
        bench = Bench(self.tokenizer, attention_scores=True, folder=folder, **self.options)
        requests: list[Request] = []
        while len(requests) < len(self.asked):
            if self.random.random() < 0.4:
                prompt, options = self.asked[len(requests)]
                requests.append(bench.submit(prompt, **options))
            bench.step()
        bench.run()
        return [bench.result(request) for request in requests], bench

    def check(self, results: Sequence[Completion]) -> None:
        for (prompt, options), found in zip(self.asked, results, strict=True):
            expected = alone(self.tokenizer, prompt, **options)
            assert (found.text, found.token_ids) == (expected.text, expected.token_ids)
            assert found.finish_reason == expected.finish_reason


def happened(bench: Bench, total: Counter[str]) -> None:
    """Note how often the cache did something that must not be seen."""
    counters = bench.engine.counters()
    for name in ("hit_tokens", "restored_tokens", "evictions", "preemptions"):
        total[name] += getattr(counters, name)


@pytest.mark.parametrize("evicting", [False, True])
def test_engine_text_is_the_same_alone_and_in_any_batch(
    tokenizer: Tokenizer, evicting: bool
) -> None:
    total: Counter[str] = Counter()
    for seed in range(40):
        workload = Workload(tokenizer, seed, evicting=evicting)
        results, bench = workload.run()
        try:
            workload.check(results)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        happened(bench, total)
    assert min(total[name] for name in ("hit_tokens", "evictions", "preemptions")) > 10


def test_engine_text_is_the_same_with_blocks_from_disk(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    total: Counter[str] = Counter()
    for seed in range(15):
        workload = Workload(tokenizer, seed, evicting=seed % 2 == 0)
        folder = tmp_path / str(seed)
        for _ in range(2):
            results, bench = workload.run(folder)
            workload.check(results)
            bench.close()
            happened(bench, total)
    assert total["restored_tokens"] > 100


def test_engine_restores_what_it_wrote_before(tokenizer: Tokenizer, tmp_path: Path) -> None:
    prompt = list(range(30))
    first = Bench(tokenizer, folder=tmp_path)
    before = first.submit(prompt, max_tokens=9, ignore_eos=True)
    first.run()
    first.close()
    second = Bench(tokenizer, folder=tmp_path)
    after = second.submit(prompt, max_tokens=9, ignore_eos=True)
    second.run()
    assert second.result(after).token_ids == first.result(before).token_ids
    assert second.result(after).stats.cached_tokens == 28
    assert second.engine.counters().restored_tokens == 28
    second.close()


def test_engine_computes_a_common_prompt_once(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)
    prompt = [place % VOCAB_SIZE for place in range(40)]
    requests = [bench.submit([*prompt, own], max_tokens=1) for own in range(4)]
    bench.run()
    counters = bench.engine.counters()
    assert counters.computed_tokens == 41 + 3
    assert counters.hit_tokens == 3 * 40
    assert [bench.result(request).stats.cached_tokens for request in requests] == [0, 40, 40, 40]


def test_engine_copies_the_begin_of_a_block_that_goes_on_otherwise(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)
    options: dict[str, object] = {"max_tokens": 6, "ignore_eos": True}
    prompts = [[*range(7), own, own + 1, own + 2] for own in (20, 10, 15)]
    requests = [bench.submit(prompt, **options) for prompt in prompts]
    bench.run()
    results = [bench.result(request) for request in requests]
    assert [result.stats.cached_tokens for result in results] == [0, 7, 7]
    for prompt, result in zip(prompts, results, strict=True):
        assert result.token_ids == alone(tokenizer, prompt, **options).token_ids


@pytest.mark.parametrize("eviction", [_BY_POSITION, _BY_SCORE])
def test_engine_never_holds_more_of_a_request_than_it_may(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, eviction: CacheEviction
) -> None:
    bench = Bench(tokenizer, attention_scores=True)
    held: list[int] = []
    forward = bench.backend.forward

    def watched(plan: StepPlan) -> StepResult:
        assert len(plan.past_lens) == 1
        held.append(int(plan.past_lens[0]) + len(plan.token_ids))
        assert len(plan.block_ids) * 4 <= eviction.max_tokens
        return forward(plan)

    monkeypatch.setattr(bench.backend, "forward", watched)
    request = bench.submit(list(range(30)), max_tokens=60, eviction=eviction, ignore_eos=True)
    bench.run()
    assert max(held) == eviction.max_tokens
    assert bench.result(request).finish_reason == "length"
    unbounded = alone(tokenizer, list(range(30)), max_tokens=60, ignore_eos=True)
    assert bench.result(request).token_ids != unbounded.token_ids


def test_engine_runs_a_request_longer_than_the_cache_when_it_evicts(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, num_blocks=4)
    options = {"max_tokens": 40, "eviction": _BY_POSITION, "ignore_eos": True}
    request = bench.submit(list(range(30)), **options)
    bench.run()
    assert bench.result(request).token_ids == alone(tokenizer, list(range(30)), **options).token_ids


def test_engine_that_scores_lets_requests_evict_by_position(tokenizer: Tokenizer) -> None:
    # The request begins anew with fewer blocks than it had scores for.
    bench = Bench(tokenizer, num_blocks=9, attention_scores=True)
    options = {"max_tokens": 30, "ignore_eos": True}
    first = bench.submit([1, 2, 3], **options)
    eviction = CacheEviction(32, start_tokens=4)
    second = bench.submit(list(range(16)), eviction=eviction, **options)
    bench.run()
    assert second.num_preemptions > 0
    assert bench.result(first).finish_reason == "length"
    expected = alone(tokenizer, list(range(16)), eviction=eviction, **options)
    assert bench.result(second).token_ids == expected.token_ids


def test_engine_shares_no_cache_between_requests_with_different_keys(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)
    found = []
    for key in (b"", b"adapter", b"adapter", b""):
        request = bench.make([1, 2, 3] * 4, max_tokens=5, ignore_eos=True)
        request.cache_key = key
        bench.add([request])
        bench.run()
        result = bench.result(request)
        found.append((result.token_ids, result.stats.cached_tokens))
    assert [cached for _, cached in found] == [0, 0, 11, 11]
    assert len({tokens for tokens, _ in found}) == 1
