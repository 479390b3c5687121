"""Log-probabilities of prompts are the model's, however and wherever a prompt is computed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest

from nanoaccel.runtime.backends.fake import hashed
from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.types.outputs import Completion
from nanoaccel.runtime.types.plan import StepPlan, StepResult
from nanoaccel.testing.drafters import Always, Guesser, knowing
from nanoaccel.testing.engines import VOCAB_SIZE, Bench
from nanoaccel.text import Tokenizer

RULE = hashed(VOCAB_SIZE)
PROMPT = [index % 7 for index in range(18)]


def assert_true(told: Completion, prompt: Sequence[int], top: int) -> None:
    """Assert that a completion tells of its prompt what the model says of it."""
    assert len(told.prompt_logprobs) == len(prompt)
    assert told.prompt_logprobs[0] is None
    for place, entry in enumerate(told.prompt_logprobs[1:], 1):
        logits = RULE(prompt[:place]).astype(np.float64)
        wanted = logits - np.log(np.exp(logits).sum())
        assert entry is not None
        assert entry.token_id == prompt[place]
        assert entry.logprob == pytest.approx(wanted[entry.token_id], abs=1e-4)
        assert [token for token, _ in entry.top] == np.argsort(-wanted)[:top].tolist()
        assert [value for _, value in entry.top] == pytest.approx(-np.sort(-wanted)[:top], abs=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_prompt_logprobs_are_the_models(tokenizer: Tokenizer, seed: int) -> None:
    random = Random(seed)
    bench = Bench(
        tokenizer,
        RULE,
        num_blocks=random.choice((14, 40)),
        max_step_tokens=random.choice((1, 5, 32)),
        max_running=random.choice((1, 3, 6)),
    )
    asked = []
    for _ in range(12):
        prompt = PROMPT[: random.choice((0, 8, 18))] + [
            random.randrange(VOCAB_SIZE) for _ in range(random.randint(1, 9))
        ]
        top = random.choice((None, 0, 3))
        wanted = {"max_tokens": random.choice((0, 1, 6)), "priority": random.randrange(2)}
        request = bench.submit(prompt, prompt_logprobs=top, ignore_eos=True, **wanted)
        asked.append((request, prompt, top))
        for _ in range(random.randrange(3)):
            bench.step()
    bench.run()
    for request, prompt, top in asked:
        told = bench.result(request)
        assert told.finish_reason == "length"
        assert told.usage.completion_tokens == request.max_tokens
        if top is None:
            assert told.prompt_logprobs == ()
        else:
            assert_true(told, prompt, top)


def test_prompt_is_scored_once_whatever_is_given_up(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, RULE, num_blocks=10, max_step_tokens=4)
    request = bench.submit(PROMPT, prompt_logprobs=2, max_tokens=12, ignore_eos=True)
    for _ in range(3):
        bench.step()
    bench.submit([20] * 30, max_tokens=1, priority=1, ignore_eos=True)
    rows = _rows_of_passes(bench)
    bench.run()
    assert request.num_preemptions > 0
    assert_true(bench.result(request), PROMPT, 2)
    # Twelve tokens were scored before, and the last one of each prompt gives a token.
    assert sum(rows) == len(PROMPT) - 1 - 12 + 12 + 1


def test_scored_prompt_is_computed_whole_and_left_for_others(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, RULE)
    scored = [bench.submit(PROMPT, prompt_logprobs=0, max_tokens=0) for _ in range(2)]
    bench.run()
    other = bench.submit(PROMPT, max_tokens=1)
    bench.run()
    assert [bench.result(one).stats.cached_tokens for one in (*scored, other)] == [0, 0, 16]


def test_only_scored_prompts_ask_for_their_rows(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, RULE, max_step_tokens=64)
    rows = _rows_of_passes(bench)
    bench.submit(PROMPT, max_tokens=1)
    bench.submit([1, *PROMPT], max_tokens=1, prompt_logprobs=0)
    bench.submit([2, *PROMPT], max_tokens=0)
    bench.run()
    assert rows == [1 + 1 + len(PROMPT)]


def test_prompt_logprobs_come_with_the_first_token(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, RULE, max_step_tokens=5)
    request = bench.submit(PROMPT, max_tokens=3, prompt_logprobs=1, ignore_eos=True)
    bench.run()
    assert [len(c.prompt_logprobs) for c in bench.chunks[request.id]] == [len(PROMPT), 0, 0]


def test_prompt_logprobs_of_a_request_that_ends_before_are_none(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, RULE, max_step_tokens=5)
    request = bench.submit(PROMPT, prompt_logprobs=1)
    bench.step()
    bench.engine.cancel(request)
    assert bench.result(request).prompt_logprobs == ()


@pytest.mark.parametrize(
    "eviction",
    [
        CacheEviction(16, start_tokens=4),
        CacheEviction(24, start_tokens=4, recent_tokens=5, by="score"),
    ],
)
def test_prompt_logprobs_go_with_eviction(tokenizer: Tokenizer, eviction: CacheEviction) -> None:
    bench = Bench(tokenizer, RULE, attention_scores=True)
    request = bench.submit(PROMPT * 2, eviction=eviction, prompt_logprobs=1, max_tokens=2)
    bench.run()
    assert len(bench.result(request).prompt_logprobs) == 2 * len(PROMPT)


def test_prompt_logprobs_go_with_drafts(tokenizer: Tokenizer) -> None:
    plain = Bench(tokenizer, RULE)
    wanted = plain.submit(PROMPT, max_tokens=9, ignore_eos=True)
    plain.run()
    text = [*PROMPT, *plain.result(wanted).token_ids]
    drafter = Guesser(knowing({0: text}, right=0.8))
    bench = Bench(tokenizer, RULE, drafters=[drafter], controller=Always())
    request = bench.submit(PROMPT, max_tokens=9, ignore_eos=True, prompt_logprobs=2)
    bench.run()
    told = bench.result(request)
    assert told.token_ids == plain.result(wanted).token_ids
    assert told.stats.accepted_tokens > 0
    assert_true(told, PROMPT, 2)


def test_logits_that_are_no_numbers_end_their_request_alone(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, lambda seen: RULE(seen) * (np.nan if seen[0] == 3 else 1))
    broken = bench.submit([3, 4, 5], prompt_logprobs=1, max_tokens=0)
    whole = bench.submit([4, 4, 5], prompt_logprobs=1, max_tokens=2)
    bench.run()
    assert bench.result(broken).finish_reason == "error"
    assert "not numbers" in str(bench.result(broken).error)
    assert len(bench.result(whole).prompt_logprobs) == 3


def _rows_of_passes(bench: Bench) -> list[int]:
    """The rows of logits of each pass from now on."""
    rows: list[int] = []
    forward = bench.backend.forward

    def counted(plan: StepPlan) -> StepResult:
        rows.append(len(plan.logits_rows))
        return forward(plan)

    bench.backend.forward = counted  # type: ignore[method-assign]
    return rows
