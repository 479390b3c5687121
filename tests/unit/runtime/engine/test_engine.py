from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from nanoaccel.errors import QueueFullError
from nanoaccel.runtime.backends.fake import hashed, scripted
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.types.plan import StepPlan, StepResult
from nanoaccel.testing.engines import EOS, LETTERS, VOCAB_SIZE, Bench
from nanoaccel.text import Tokenizer


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


@pytest.mark.parametrize("when", ["waiting", "running", "finished"])
def test_engine_cancels_at_any_moment(tokenizer: Tokenizer, when: str) -> None:
    bench = Bench(tokenizer, max_running=1)
    first = bench.submit([1, 2], max_tokens=5, ignore_eos=True)
    second = bench.submit([3, 4], max_tokens=5, ignore_eos=True)
    bench.step()
    if when == "finished":
        bench.run()
    victim, other = (second, first) if when == "waiting" else (first, second)
    bench.engine.cancel(victim)
    bench.engine.check_integrity()
    bench.engine.cancel(victim)
    bench.run()
    expected = "length" if when == "finished" else "cancelled"
    assert bench.result(victim).finish_reason == expected
    assert bench.result(other).finish_reason == "length"


def test_engine_cancelled_text_is_complete(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, scripted(VOCAB_SIZE, writes("abcdef", 3)))
    request = bench.submit([1, 2, 3], max_tokens=9, stop=("bcx",))
    for _ in range(3):
        bench.step()
    assert "".join(chunk.text for chunk in bench.chunks[request.id]) == "a"
    bench.engine.cancel(request)
    assert bench.result(request).text == "abc"
    assert bench.result(request).usage.completion_tokens == 3


def test_engine_cancels_during_the_pass(tokenizer: Tokenizer) -> None:
    victims: list[Request] = []

    def rule(tokens: Sequence[int]) -> np.ndarray:
        while victims and len(tokens) == 7:
            bench.engine.cancel(victims.pop())
        return hashed(VOCAB_SIZE)(tokens)

    bench = Bench(tokenizer, rule, max_step_tokens=6)
    options = {"max_tokens": 9, "ignore_eos": True}
    first, second = bench.submit([1, 2, 3], **options), bench.submit([1, 2, 4, 5], **options)
    long, waiting = bench.submit([6] * 30, **options), bench.submit([7], **options)
    victims += [first, long, waiting]
    bench.run()
    assert not victims
    reasons = [bench.result(request).finish_reason for request in (first, second, long, waiting)]
    assert reasons == ["cancelled", "length", "cancelled", "cancelled"]
    assert bench.result(second).token_ids == alone(tokenizer, [1, 2, 4, 5], **options)


def test_engine_cancels_all(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, max_running=2)
    requests = [bench.submit([place], max_tokens=5, ignore_eos=True) for place in range(5)]
    bench.step()
    bench.engine.cancel_all()
    bench.run()
    assert {bench.result(request).finish_reason for request in requests} == {"cancelled"}


def test_engine_ends_what_is_due_with_the_text_so_far(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, scripted(VOCAB_SIZE, writes("abcdef", 3)), max_running=1)
    running = bench.submit([1, 2, 3], max_tokens=9, timeout=2.0)
    waiting = bench.submit([1, 2, 3], max_tokens=9, timeout=1.0)
    patient = bench.submit([1, 2, 3], max_tokens=9, timeout=99.0)
    for _ in range(3):
        bench.step()
        bench.time += 1.0
    bench.run()
    assert (bench.result(running).text, bench.result(running).finish_reason) == ("ab", "timeout")
    assert (bench.result(waiting).text, bench.result(waiting).finish_reason) == ("", "timeout")
    assert bench.result(patient).text == "abcdef"


def test_engine_tells_what_happens_in_order(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, max_running=1)
    first = bench.submit([1], max_tokens=3, ignore_eos=True)
    second = bench.submit([1], max_tokens=1, ignore_eos=True)
    third = bench.submit([1], max_tokens=1, timeout=0.0)
    bench.run()
    assert [(event.request_id, event.kind) for event in bench.events] == [
        (third.id, "finished"),
        (first.id, "started"),
        (first.id, "token"),
        (first.id, "token"),
        (first.id, "finished"),
        (second.id, "started"),
        (second.id, "finished"),
    ]


def test_engine_refuses_what_the_queue_cannot_hold(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, max_waiting=3)
    kept = [bench.submit([place], max_tokens=2, ignore_eos=True) for place in range(2)]
    with pytest.raises(QueueFullError, match="room for 1 requests, not for 2"):
        bench.add([bench.make([1], max_tokens=2), bench.make([2], max_tokens=2)])
    assert bench.engine.counters().waiting == 2
    bench.run()
    assert {bench.result(request).finish_reason for request in kept} == {"length"}
    assert (bench.engine.counters().submitted, bench.engine.counters().refused) == (2, 2)


def test_engine_takes_more_than_the_queue_holds_when_told(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, max_waiting=1, max_running=1)
    requests = [bench.make([place], max_tokens=2, ignore_eos=True) for place in range(4)]
    bench.add(requests, even_if_full=True)
    with pytest.raises(QueueFullError):
        bench.submit([1], max_tokens=1)
    bench.run()
    started = [event.request_id for event in bench.events if event.kind == "started"]
    assert started == [request.id for request in requests]


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


def test_engine_ends_only_the_requests_of_a_pass_that_raised(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tokenizer, max_running=2)
    options = {"max_tokens": 5, "ignore_eos": True}
    lost = [bench.submit([1, 2], **options), bench.submit([3, 4], **options)]
    kept = bench.submit([5, 6], **options)
    bench.step()

    def broken(_: StepPlan) -> StepResult:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(bench.backend, "forward", broken)
        bench.step()
    bench.run()
    for request in lost:
        assert bench.result(request).error == "RuntimeError: out of memory"
        assert bench.result(request).finish_reason == "error"
        assert len(bench.result(request).token_ids) == 1
    assert bench.result(kept).token_ids == alone(tokenizer, [5, 6], **options)
    again = bench.submit([1, 2], **options)
    bench.run()
    assert bench.result(again).token_ids == alone(tokenizer, [1, 2], **options)


class Broken:
    """Stands for a part of a request; whatever is asked of it fails."""

    def __getattr__(self, name: str) -> object:
        raise KeyError("a token that nobody knows")


@pytest.mark.parametrize("part", ["sampler", "output_text"])
def test_engine_ends_only_the_request_whose_processing_raises(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    bench = Bench(tokenizer)
    sick = bench.submit([1, 2], max_tokens=5, ignore_eos=True)
    well = bench.submit([3, 4], max_tokens=5, ignore_eos=True)
    bench.step()
    monkeypatch.setattr(sick, part, Broken())
    bench.run()
    assert bench.result(sick).error == "KeyError: 'a token that nobody knows'"
    assert [event.kind for event in bench.events if event.request_id == sick.id][-1] == "failed"
    expected = alone(tokenizer, [3, 4], max_tokens=5, ignore_eos=True)
    assert bench.result(well).token_ids == expected


def test_engine_gives_up_requests_whatever_the_scheduler_knows(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)
    request = bench.submit([1, 2], max_tokens=5)
    bench.scheduler.remove(request)
    bench.engine.give_up([request], AssertionError("a bug"))
    bench.run()
    assert bench.result(request).error == "AssertionError: a bug"


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
