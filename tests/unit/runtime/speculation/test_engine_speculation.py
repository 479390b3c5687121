"""With guesses a text is written in fewer steps, and it is the same text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.guessed_texts import (
    DRAFTERS,
    Job,
    Shape,
    by_all,
    by_few,
    check_cached_blocks,
    drafters_named,
    pieces,
    run,
    whole_texts,
)

from nanoaccel.runtime.backends.fake import Rule
from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.scheduling.scheduled_tokens import ScheduledTokens
from nanoaccel.runtime.types.plan import Float32Array, StepPlan, StepResult
from nanoaccel.testing.drafters import Always, Guesser, same
from nanoaccel.testing.engines import EOS, VOCAB_SIZE, Bench, quick
from nanoaccel.text import Tokenizer

HasRoom = Callable[[Request, int], bool]

_BY_POSITION = CacheEviction(16, start_tokens=4)
_BY_SCORE = CacheEviction(24, start_tokens=4, recent_tokens=5, by="score")
_CHOICES: tuple[dict[str, object], ...] = (
    {},
    {"logprobs": 3},
    {"repetition_penalty": 1.4, "logit_bias": {2: 4.0, 9: -100.0}},
    {"presence_penalty": 0.8, "frequency_penalty": -0.9, "logprobs": 0},
    {"temperature": 1.0},
    {"temperature": 0.7, "top_k": 4, "logprobs": 3},
    {"temperature": 1.2, "top_p": 0.7, "frequency_penalty": 0.6},
    {"temperature": 1.0, "min_p": 0.1, "repetition_penalty": 0.8},
    {"temperature": 0.5, "top_k": 9, "top_p": 0.9, "min_p": 0.02, "presence_penalty": -1.0},
)
_ENDS: tuple[dict[str, object], ...] = (
    {"ignore_eos": True},
    {},
    {"ignore_eos": True, "stop": ("e", "zz")},
    {"min_tokens": 3, "stop": ("ab", "c.", "s")},
    {"ignore_eos": True, "min_tokens": 3, "stop_token_ids": (3, 4, EOS)},
)


def any_job(seed: int) -> Job:
    """What the dice say; drawing each part with hypothesis takes longer than running it."""
    random = Random(seed)
    options = {
        "max_tokens": random.choice((3, 14, 22, 22)),
        "seed": random.randrange(4),
        "eviction": random.choice((None, None, None, _BY_POSITION, _BY_SCORE)),
        "priority": random.choice((0, 0, 0, 1)),
        **random.choice(_CHOICES),
        **random.choice((*_ENDS, _ENDS[0], _ENDS[0])),
    }
    shared = list(range(random.choice((0, 0, 4, 9))))
    own = [random.randrange(VOCAB_SIZE) for _ in range(random.randint(1, 6))]
    return Job(shared + own, options, steps_before=random.choice((0, 0, 1)))


def test_engine_writes_the_same_text_with_any_guesses(tokenizer: Tokenizer) -> None:
    total: Counter[str] = Counter()

    # Shrinking would take minutes, as each example runs two engines.
    @settings(max_examples=100, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(
        work=st.lists(st.integers(0, 10**6).map(any_job), min_size=3, max_size=5),
        name=st.sampled_from(DRAFTERS),
        seed=st.sampled_from([3, 2, 1, 0]),
        rule=st.sampled_from([by_all, by_few]),
        shape=st.builds(
            Shape,
            st.sampled_from([10, 11, 40]),
            st.sampled_from([64, 7, 1]),
            st.sampled_from([5, 5, 1]),
        ),
    )
    def check(work: list[Job], name: str, seed: int, rule: Rule, shape: Shape) -> None:
        plain, expected = run(tokenizer, work, rule=rule)
        drafters = drafters_named(name, whole_texts(expected), seed)
        bench, requests = run(tokenizer, work, drafters, rule=rule, shape=shape)
        for before, after in zip(expected, requests, strict=True):
            assert pieces(bench, after) == pieces(plain, before)
        counters = bench.engine.counters()
        total["wrong"] += counters.speculation.drafted_tokens
        total["wrong"] -= counters.speculation.accepted_tokens
        total["right"] += counters.speculation.accepted_tokens
        total["preemptions"] += counters.preemptions
        total["hits"] += counters.hit_tokens

    check()
    assert min(total[name] for name in ("wrong", "right", "preemptions", "hits")) > 5, total


@pytest.mark.parametrize("name", DRAFTERS)
def test_engine_gives_the_same_log_probabilities_with_guesses(
    tokenizer: Tokenizer, name: str
) -> None:
    work = [
        Job([seed, 2, 3], {"max_tokens": 30, "logprobs": 3, "temperature": 0.8, "seed": seed})
        for seed in range(3)
    ]
    plain, expected = run(tokenizer, work, rule=by_few)
    drafters = drafters_named(name, whole_texts(expected), 2)
    bench, requests = run(tokenizer, work, drafters, rule=by_few)
    assert bench.engine.counters().speculation.drafted_tokens > 0
    for before, after in zip(expected, requests, strict=True):
        result = bench.result(after)
        assert result.logprobs == plain.result(before).logprobs
        assert [entry.token_id for entry in result.logprobs] == list(result.token_ids)


def test_engine_takes_all_right_guesses_from_one_pass(tokenizer: Tokenizer) -> None:
    work = [Job([1, 2, 3], {"max_tokens": 40, "ignore_eos": True})]
    _, expected = run(tokenizer, work)
    bench, requests = run(tokenizer, work, drafters_named("oracle", whole_texts(expected), 3))
    assert whole_texts(requests) == whole_texts(expected)
    counters = bench.engine.counters()
    assert (counters.steps, counters.generated_tokens) == (3, 40)
    assert counters.speculation.accepted_tokens == counters.speculation.drafted_tokens == 37
    assert counters.speculation.tokens_per_step == 40 / 3
    assert counters.speculation.reached == counters.speculation.accepted


@pytest.mark.parametrize("name", DRAFTERS)
def test_engine_counters_of_guesses_add_up(tokenizer: Tokenizer, name: str) -> None:
    work = [Job([place, place + 1], {"max_tokens": 30, "ignore_eos": True}) for place in range(4)]
    _, expected = run(tokenizer, work, rule=by_few)
    drafters = drafters_named(name, whole_texts(expected), 1)
    bench, requests = run(tokenizer, work, drafters, rule=by_few)
    counters = bench.engine.counters()
    found = counters.speculation
    assert counters.generated_tokens == 4 * 30 == found.rows + found.accepted_tokens
    prompts = sum(request.num_prompt for request in requests)
    assert counters.computed_tokens == prompts + found.rows - len(requests) + found.drafted_tokens
    assert 0 < found.draft_steps <= found.steps == counters.steps
    assert sum(found.accepted) == found.accepted_tokens
    assert found.reached[0] <= found.rows
    assert all(n >= m for n, m in zip(found.reached, found.accepted, strict=True))
    pairs = zip(found.reached[1:], found.accepted, strict=False)
    assert all(later <= right for later, right in pairs)


def test_engine_leaves_the_last_token_to_the_model(tokenizer: Tokenizer) -> None:
    work = [Job([1, 2], {"max_tokens": most, "ignore_eos": True}) for most in (1, 2, 5)]
    bench, _ = run(tokenizer, work, [Guesser(same(EOS))])
    found = bench.engine.counters().speculation
    assert found.accepted_tokens == 0
    assert found.drafted_tokens == 0 + 1 + (4 + 3 + 2 + 1)


def test_engine_drops_guesses_for_which_the_cache_has_no_room(tokenizer: Tokenizer) -> None:
    # Each holds a block, and may hold four. The first one's guesses take all that are left.
    bench = Bench(tokenizer, num_blocks=5, drafters=[Guesser(same(3))], controller=Always())
    options = {"max_tokens": 12, "ignore_eos": True}
    requests = [bench.submit([place] * 4, **options) for place in (1, 2)]
    bench.step()
    counters = bench.engine.counters()
    assert (counters.running, counters.preemptions) == (2, 0)
    assert counters.speculation.drafted_tokens == 11
    bench.run()
    _, expected = run(tokenizer, [Job([place] * 4, options) for place in (1, 2)])
    assert whole_texts(requests) == whole_texts(expected)


@pytest.mark.parametrize("guessed", [1, 5, 13, 16, 20])
def test_engine_never_finds_guesses_in_the_prefix_cache(tokenizer: Tokenizer, guessed: int) -> None:
    options: dict[str, object] = {"max_tokens": 24, "ignore_eos": True}
    bench = Bench(tokenizer, by_all, drafters=[Guesser(same(3))], controller=Always())
    first = bench.submit([1, 2, 3], **options)
    bench.run()
    assert first.tokens(3, 4).tolist() != [3]
    prompt = [1, 2, 3] + [3] * guessed
    second = bench.submit(prompt, **options)
    bench.run()
    assert bench.result(second).stats.cached_tokens == 3
    _, expected = run(tokenizer, [Job([1, 2, 3], options), Job(prompt, options)])
    assert whole_texts([first, second]) == whole_texts(expected)
    check_cached_blocks(bench, [first, second])


@pytest.mark.parametrize("name", DRAFTERS)
def test_engine_guesses_for_requests_that_evict_by_position(
    tokenizer: Tokenizer, name: str
) -> None:
    options = {"max_tokens": 60, "ignore_eos": True, "eviction": _BY_POSITION}
    work = [Job(list(range(length)), options) for length in (3, 12, 30)]
    _, expected = run(tokenizer, work, rule=by_few)
    drafters = drafters_named(name, whole_texts(expected), 1)
    bench, requests = run(tokenizer, work, drafters, rule=by_few)
    assert whole_texts(requests) == whole_texts(expected)
    assert bench.engine.counters().speculation.drafted_tokens > 60


def test_engine_guesses_nothing_for_requests_that_evict_by_score(tokenizer: Tokenizer) -> None:
    options = {"max_tokens": 60, "ignore_eos": True, "eviction": _BY_SCORE}
    _, expected = run(tokenizer, [Job([1, 2, 3], options)])
    drafter = Guesser(same(3))
    bench, requests = run(tokenizer, [Job([1, 2, 3], options)], [drafter])
    assert whole_texts(requests) == whole_texts(expected)
    assert (drafter.asked, bench.engine.counters().speculation.drafted_tokens) == ([], 0)


@pytest.mark.parametrize("during", [False, True])
def test_engine_cancels_a_request_with_guesses(tokenizer: Tokenizer, during: bool) -> None:
    victims: list[Request] = []

    def rule(tokens: Sequence[int]) -> Float32Array:
        while victims and tokens[-1] == 3:  # a guess is being checked
            bench.engine.cancel(victims.pop())
        return by_all(tokens)

    bench = Bench(tokenizer, rule, drafters=[Guesser(same(3))], controller=Always())
    options = {"max_tokens": 20, "ignore_eos": True}
    first, second = bench.submit([1, 2], **options), bench.submit([4, 5], **options)
    bench.step()
    if during:
        victims.append(first)
        bench.step()
        assert not victims
    else:
        bench.engine.cancel(first)
    bench.engine.check_integrity()
    bench.run()
    assert bench.result(first).finish_reason == "cancelled"
    _, expected = run(tokenizer, [Job([1, 2], options), Job([4, 5], options)])
    assert whole_texts([second])[second.id] == whole_texts(expected)[1]
    count = first.num_known
    assert first.tokens(0, count).tolist() == whole_texts(expected)[0][:count]
    check_cached_blocks(bench, [first, second])


def test_engine_pads_for_the_requests_that_are_left(tokenizer: Tokenizer) -> None:
    bench = Bench(
        tokenizer,
        quick(),
        max_step_tokens=128,
        num_blocks=64,
        drafters=[Guesser(same(3))],
        controller=Always(lambda tokens: -(-tokens // 16) * 16),
    )
    stays = bench.submit([1], max_tokens=30, ignore_eos=True)
    bench.step()
    leaves = bench.submit([2] * 90, max_tokens=3, ignore_eos=True)
    extend, forward = bench.speculator.extend, bench.backend.forward
    padded: list[tuple[int, int]] = []

    def cancelling(chunks: list[ScheduledTokens], has_room: HasRoom) -> list[ScheduledTokens]:
        longer = extend(chunks, has_room)
        bench.engine.cancel(leaves)
        return longer

    def noting(plan: StepPlan) -> StepResult:
        padded.append((len(plan.token_ids), plan.pad_to))
        return forward(plan)

    bench.speculator.extend = cancelling  # type: ignore[method-assign]
    bench.backend.forward = noting  # type: ignore[method-assign]
    bench.step()
    assert padded == [(16, 16)]
    bench.run()
    assert bench.result(stays).finish_reason == "length"
