from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engines import EOS, LETTERS, VOCAB_SIZE, Bench, letter_tokenizer

from nanoaccel.runtime.backends.fake import hashed, scripted
from nanoaccel.runtime.plan import StepPlan, StepResult
from nanoaccel.runtime.text import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return letter_tokenizer(tmp_path_factory.mktemp("letters"))


def writes(text: str, prompt_length: int) -> Callable[[Sequence[int]], int]:
    """Continue a prompt of some length with a text, then EOS."""
    ids = [LETTERS.index(letter) for letter in text]

    def script(tokens: Sequence[int]) -> int:
        place = len(tokens) - prompt_length
        return ids[place] if place < len(ids) else EOS

    return script


def alone(tokenizer: Tokenizer, prompt: list[int], **params: object) -> tuple[int, ...]:
    bench = Bench(tokenizer)
    request = bench.submit(prompt, **params)
    bench.run()
    return bench.result(request).token_ids


def test_engine_writes_until_eos_and_says_stop(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, scripted(VOCAB_SIZE, writes("hello.", 3)))
    request = bench.submit([1, 2, 3], max_tokens=50)
    bench.run()
    result = bench.result(request)
    assert (result.text, result.finish_reason) == ("hello.", "stop")
    assert result.token_ids[-1] == EOS
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (3, 7)


def test_engine_stops_at_max_tokens_and_says_length(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, scripted(VOCAB_SIZE, writes("hello.", 3)))
    request = bench.submit([1, 2, 3], max_tokens=4)
    bench.run()
    assert bench.result(request).text == "hell"
    assert bench.result(request).finish_reason == "length"


def test_engine_ends_text_before_a_stop_string(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, scripted(VOCAB_SIZE, writes("one. two.", 3)))
    request = bench.submit([1, 2, 3], max_tokens=50, stop=(". t",))
    bench.run()
    assert bench.result(request).text == "one"
    assert bench.result(request).finish_reason == "stop"


def test_engine_ends_at_a_stop_token(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, scripted(VOCAB_SIZE, writes("one. two.", 3)))
    request = bench.submit([1, 2, 3], max_tokens=50, stop_token_ids=(LETTERS.index("."),))
    bench.run()
    assert bench.result(request).text == "one"


def test_engine_keeps_min_tokens_before_any_end(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, scripted(VOCAB_SIZE, writes("ab.cd.", 3)))
    request = bench.submit([1, 2, 3], max_tokens=50, min_tokens=4, stop=(".",))
    bench.run()
    assert bench.result(request).text == "ab.cd"


def test_engine_goes_on_after_eos_when_asked(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, scripted(VOCAB_SIZE, writes("ab", 3)))
    request = bench.submit([1, 2, 3], max_tokens=6, ignore_eos=True)
    bench.run()
    assert bench.result(request).finish_reason == "length"
    assert len(bench.result(request).token_ids) == 6


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=9),
    step_tokens=st.integers(1, 64),
    running=st.integers(1, 9),
    temperature=st.sampled_from([0.0, 1.0]),
)
def test_engine_text_is_the_same_alone_and_in_any_batch(
    tokenizer: Tokenizer, lengths: list[int], step_tokens: int, running: int, temperature: float
) -> None:
    random = np.random.default_rng(sum(lengths))
    prompts = [random.integers(0, VOCAB_SIZE, length).tolist() for length in lengths]
    bench = Bench(tokenizer, max_step_tokens=step_tokens, max_running=running, num_blocks=200)
    options = {"max_tokens": 12, "temperature": temperature, "seed": 7, "ignore_eos": True}
    requests = [bench.submit(prompt, **options) for prompt in prompts]
    bench.run()
    for prompt, request in zip(prompts, requests, strict=True):
        assert bench.result(request).token_ids == alone(tokenizer, prompt, **options)


def test_engine_gives_up_the_youngest_when_the_cache_is_full(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, num_blocks=9)
    prompts = [[1, 2, 3], [4, 5], [6, 7, 8]]
    requests = [bench.submit(prompt, max_tokens=20, ignore_eos=True) for prompt in prompts]
    bench.run()
    assert requests[0].num_preemptions == 0
    assert sum(request.num_preemptions for request in requests) > 0
    for prompt, request in zip(prompts, requests, strict=True):
        expected = alone(tokenizer, prompt, max_tokens=20, ignore_eos=True)
        assert bench.result(request).token_ids == expected
        assert bench.result(request).stats.preemptions == request.num_preemptions


@pytest.mark.parametrize("when", ["waiting", "running", "finished"])
def test_engine_cancels_at_any_moment(tokenizer: Tokenizer, when: str) -> None:
    bench = Bench(tokenizer, max_running=1)
    first = bench.submit([1, 2], max_tokens=5, ignore_eos=True)
    second = bench.submit([3, 4], max_tokens=5, ignore_eos=True)
    bench.step()
    if when == "waiting":
        chunk = bench.engine.cancel(second)
    elif when == "running":
        chunk = bench.engine.cancel(first)
    else:
        bench.run()
        assert bench.engine.cancel(first) is None
        return
    assert chunk is not None
    assert chunk.finish_reason == "cancelled"
    bench.engine.check_integrity()
    bench.run()
    survivor = first if when == "waiting" else second
    assert bench.result(survivor).finish_reason == "length"


def test_engine_ends_only_the_request_whose_logits_are_not_numbers(tokenizer: Tokenizer) -> None:
    healthy = hashed(VOCAB_SIZE)

    def rule(tokens: Sequence[int]) -> np.ndarray:
        return np.full(VOCAB_SIZE, np.nan, np.float32) if tokens[0] == 9 else healthy(tokens)

    bench = Bench(tokenizer, rule)
    sick = bench.submit([9, 1], max_tokens=5, ignore_eos=True)
    well = bench.submit([1, 9], max_tokens=5, ignore_eos=True)
    bench.run()
    assert bench.result(sick).finish_reason == "error"
    assert "not numbers" in str(bench.result(sick).error)
    assert bench.result(well).finish_reason == "length"


def test_engine_survives_a_backend_that_raises(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tokenizer)
    request = bench.submit([1, 2], max_tokens=5)

    def broken(_: StepPlan) -> StepResult:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(bench.backend, "forward", broken)
        bench.run()
    assert bench.result(request).error == "RuntimeError: out of memory"
    again = bench.submit([1, 2], max_tokens=5, ignore_eos=True)
    bench.run()
    assert bench.result(again).finish_reason == "length"


def test_engine_reports_where_the_time_went(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)
    request = bench.submit([1, 2], max_tokens=3, ignore_eos=True)
    for _ in range(3):
        bench.time += 1.0
        bench.step()
    stats = bench.result(request).stats
    assert (stats.queued, stats.first_token, stats.total) == (1.0, 1.0, 3.0)
    assert stats.decode_tokens_per_second(3) == 1.0


def test_engine_gives_logprobs_of_each_token(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)
    request = bench.submit([1, 2], max_tokens=3, ignore_eos=True, logprobs=2)
    bench.run()
    result = bench.result(request)
    assert [entry.token_id for entry in result.logprobs] == list(result.token_ids)
    assert all(entry.top[0] == (entry.token_id, entry.logprob) for entry in result.logprobs)


def test_engine_random_workloads_lose_no_block_and_no_request(tmp_path: Path) -> None:
    tokenizer = letter_tokenizer(tmp_path)
    random = np.random.default_rng(1)
    bench = Bench(tokenizer, num_blocks=24, max_step_tokens=16, max_running=5)
    live = []
    for _ in range(600):
        if random.random() < 0.3:
            prompt = random.integers(0, VOCAB_SIZE, random.integers(1, 30)).tolist()
            live.append(bench.submit(prompt, max_tokens=int(random.integers(1, 30)), seed=3))
        if live and random.random() < 0.05:
            victim = live[random.integers(len(live))]
            chunk = bench.engine.cancel(victim)
            if chunk is not None:
                bench.chunks[victim.id].append(chunk)
        bench.step()
    bench.run()
    assert len(live) > 100
    for request in live:
        reasons = [c.finish_reason for c in bench.chunks[request.id] if c.finish_reason is not None]
        assert len(reasons) == 1
