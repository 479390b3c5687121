"""Which drafters guess for a request, and what happens to one that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import count

import pytest
from support.guessed_texts import Job, run, whole_texts

from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.speculation.drafters import Draft
from nanoaccel.runtime.types.plan import Int64Array
from nanoaccel.testing.drafters import Always, Guesser, knowing, same
from nanoaccel.testing.engines import VOCAB_SIZE, Bench, next_letter, quick
from nanoaccel.text import Tokenizer

OPTIONS: dict[str, object] = {"max_tokens": 12, "ignore_eos": True}


def likeliest(draft: Draft) -> list[int]:
    """What the backend's rule ``quick`` will say."""
    text: list[int] = draft.tokens.tolist()
    for _ in range(draft.limit):
        text.append(next_letter(text))
    return text[len(draft.tokens) :]


def failing_after(calls: int, token: int | None) -> Callable[[Draft], Sequence[int]]:
    """Guesses rightly at first; then a token, or None: it raises."""
    made = count()

    def guess(draft: Draft) -> list[int]:
        if next(made) < calls:
            return likeliest(draft)[:2]
        if token is None:
            raise KeyError("a bug in a drafter")
        return [*likeliest(draft)[:2], token]

    return guess


class Forgetful(Guesser):
    """Raises when it is told to forget a request."""

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:
        super().finish(request_id, tokens, num_prompt)
        raise RuntimeError("cannot forget")


def bench_with(tokenizer: Tokenizer, *drafters: Guesser) -> Bench:
    return Bench(tokenizer, quick(), drafters=drafters, controller=Always())


def submit(bench: Bench, number: int, speculation: str) -> Request:
    """Queue a request that says who may guess for it."""
    request = Request(
        number,
        [number, 2, 3],
        SamplingParams(ignore_eos=True),
        max_tokens=12,
        tokenizer=bench.tokenizer,
        vocab_size=VOCAB_SIZE,
        seed=0,
        index=0,
        options=RequestOptions(speculation=speculation),
    )
    bench.add([request])
    return request


def is_plain(request: Request) -> bool:
    """Whether its text is what the rule ``quick`` writes, and complete."""
    text = request.tokens(0, request.num_known).tolist()
    places = range(request.num_prompt, len(text))
    return request.num_generated == 12 and all(
        text[place] == next_letter(text[:place]) for place in places
    )


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("calls", [0, 3])
@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (None, "KeyError: 'a bug in a drafter'"),
        (-1, f"ValueError: token -1 is not one of {VOCAB_SIZE}"),
        (VOCAB_SIZE, f"ValueError: token {VOCAB_SIZE} is not one of {VOCAB_SIZE}"),
    ],
)
def test_speculator_switches_off_a_drafter_that_fails_to_guess(
    tokenizer: Tokenizer,
    caplog: pytest.LogCaptureFixture,
    token: int | None,
    reason: str,
    calls: int,
) -> None:
    broken = Guesser(failing_after(calls, token), name="broken", prior=0.95)
    bench = bench_with(tokenizer, broken)
    requests = [bench.submit([place], **OPTIONS) for place in range(3)]
    bench.run()
    assert all(is_plain(request) for request in requests)
    (message,) = warnings_of(caplog)
    assert message.startswith(f"DrafterError: drafter 'broken' failed with {reason}")
    first_call = 1 if token is None else len(requests)
    assert len(broken.asked) == (first_call if calls == 0 else calls + first_call)
    assert broken.finished == []
    later = bench.submit([9], **OPTIONS)
    bench.run()
    assert is_plain(later)
    assert later.id not in [*broken.asked, *broken.finished]
    assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize("token", [None, -1, VOCAB_SIZE])
@pytest.mark.parametrize("first", [False, True])
def test_speculator_goes_on_with_the_other_drafters(
    tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture, token: int | None, first: bool
) -> None:
    broken = Guesser(failing_after(1, token), name="broken", prior=0.95)
    other = Guesser(same(5), name="other", prior=0.5)
    bench = bench_with(tokenizer, *([broken, other] if first else [other, broken]))
    requests = [bench.submit([place], **OPTIONS) for place in range(3)]
    bench.run()
    assert all(is_plain(request) for request in requests)
    assert len(warnings_of(caplog)) == 1
    assert sorted(other.finished) == [request.id for request in requests]
    assert len(other.asked) > len(broken.asked)
    assert bench.engine.counters().speculation.drafted_tokens > 3


def test_speculator_switches_off_a_drafter_that_fails_to_forget(
    tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    forgetful = Forgetful(likeliest, name="forgetful", prior=0.95)
    other = Guesser(likeliest, name="other", prior=0.5)
    bench = bench_with(tokenizer, forgetful, other)
    requests = [bench.submit([place], **OPTIONS) for place in range(2)]
    bench.run()
    later = bench.submit([9], **OPTIONS)
    bench.run()
    assert all(is_plain(request) for request in (*requests, later))
    (message,) = warnings_of(caplog)
    assert "DrafterError: drafter 'forgetful' failed with RuntimeError: cannot forget" in message
    assert len(forgetful.finished) == 1
    assert later.id not in forgetful.asked
    assert sorted(other.finished) == [*(request.id for request in requests), later.id]


def test_speculator_forgets_a_cancelled_request_of_a_drafter_that_fails(
    tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    bench = bench_with(tokenizer, Forgetful(likeliest))
    first, second = bench.submit([1], **OPTIONS), bench.submit([2], **OPTIONS)
    bench.engine.cancel(first)
    bench.run()
    assert bench.result(first).finish_reason == "cancelled"
    assert is_plain(second)
    assert len(warnings_of(caplog)) == 1


def test_speculator_tells_each_drafter_of_each_end(tokenizer: Tokenizer) -> None:
    drafters = [Guesser(same(1), name="one"), Guesser(same(2), name="two")]
    bench = bench_with(tokenizer, *drafters)
    requests = [bench.submit([place], **OPTIONS) for place in range(3)]
    bench.engine.cancel(requests[1])
    bench.run()
    for drafter in drafters:
        assert sorted(drafter.finished) == [request.id for request in requests]


def test_speculator_guesses_only_for_requests_that_want_it(tokenizer: Tokenizer) -> None:
    one, two = Guesser(likeliest, name="ngram"), Guesser(likeliest, name="head")
    bench = bench_with(tokenizer, one, two)
    wishes = ("off", "auto", "ngram", "head", "draft_model")
    requests = [submit(bench, number, wish) for number, wish in enumerate(wishes)]
    bench.run()
    assert all(is_plain(request) for request in requests)
    assert set(one.asked) == {1, 2}
    assert set(two.asked) == {1, 3}


@pytest.mark.parametrize("speculation", ["off", "draft_model"])
def test_speculator_checks_nothing_when_nobody_may_guess(
    tokenizer: Tokenizer, speculation: str
) -> None:
    guesser = Guesser(likeliest, name="ngram")
    bench = bench_with(tokenizer, guesser)
    request = submit(bench, 7, speculation)
    bench.run()
    assert is_plain(request)
    assert guesser.asked == []
    counters = bench.engine.counters()
    assert (counters.steps, counters.speculation.drafted_tokens) == (12, 0)


@pytest.mark.parametrize("swapped", [False, True])
def test_speculator_takes_the_drafter_that_promises_the_most(
    tokenizer: Tokenizer, swapped: bool
) -> None:
    work = [Job([1, 2, 3], OPTIONS)]
    _, expected = run(tokenizer, work)
    right = Guesser(knowing(whole_texts(expected), 1.0), name="right", prior=0.8)
    wrong = Guesser(same(VOCAB_SIZE - 1), name="wrong", prior=0.3)
    bench, _ = run(tokenizer, work, [wrong, right] if swapped else [right, wrong])
    found = bench.engine.counters().speculation
    assert (found.rows, found.drafted_tokens, found.accepted_tokens) == (1, 11, 11)
