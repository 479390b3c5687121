"""What reads a prompt step by step, however it is cut: its embedding, its log-probabilities."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nanoaccel.errors import GenerationError
from nanoaccel.runtime.scheduling.pooler import Pooler
from nanoaccel.runtime.scheduling.prompt_logprobs import PromptScorer
from nanoaccel.runtime.scheduling.scheduled_tokens import ScheduledTokens
from nanoaccel.runtime.types.pooling import Pooling

STATES = np.array([[1, 2, 2], [3, 0, 4], [8, 4, 3]], np.float32)
ROWS = np.array([[0, 3, 1, 2], [2, 0, 3, 1], [5, 0, 0, 0]], np.float32)


def embed(pooling: Pooling, cuts: list[int]) -> np.ndarray[Any, Any]:
    pooler = Pooler(pooling, len(STATES))
    start = 0
    for end in [*cuts, len(STATES)]:
        assert pooler.embedding() is None
        wanted = pooler.num_wanted(start, end)
        if wanted > 0:
            pooler.read(STATES[end - wanted : end])
        start = end
    vector = pooler.embedding()
    assert vector is not None
    assert vector.dtype == np.float32
    return vector


@pytest.mark.parametrize("cuts", [[], [1], [2], [1, 2]])
def test_pooler_gives_the_mean_or_the_last_state_however_the_prompt_is_cut(cuts: list[int]) -> None:
    mean = embed(Pooling(kind="mean", normalize=False), cuts)
    np.testing.assert_allclose(mean, [4, 2, 3])
    last = embed(Pooling(kind="last", normalize=False), cuts)
    np.testing.assert_allclose(last, [8, 4, 3])


def test_pooler_cuts_before_it_makes_the_length_1() -> None:
    vector = embed(Pooling(kind="mean", normalize=True, dimensions=2), [])
    np.testing.assert_allclose(vector, np.array([4, 2]) / np.sqrt(20), rtol=1e-6)


def test_pooler_wants_no_state_twice() -> None:
    pooler = Pooler(Pooling(kind="mean", normalize=False), 3)
    pooler.read(STATES[:2])
    assert pooler.num_wanted(0, 2) == 0
    assert pooler.num_wanted(0, 3) == 1


@pytest.mark.parametrize("value", [0.0, np.inf, np.nan])
def test_pooler_refuses_states_without_a_direction(value: float) -> None:
    pooler = Pooler(Pooling(kind="last", normalize=True), 1)
    pooler.read(np.full((1, 3), value, np.float32))
    with pytest.raises(GenerationError, match="make no embedding"):
        pooler.embedding()


def test_pooler_gives_zeros_that_need_no_direction() -> None:
    pooler = Pooler(Pooling(kind="last", normalize=False), 1)
    pooler.read(np.zeros((1, 3), np.float32))
    assert pooler.embedding() is not None


@pytest.mark.parametrize("cuts", [[], [1], [2], [1, 2]])
def test_scorer_tells_how_likely_each_token_was_however_the_prompt_is_cut(cuts: list[int]) -> None:
    scorer = PromptScorer(np.array([3, 1, 0], np.int64), top=2)
    start = 0
    for end in [*cuts, 3]:
        wanted = scorer.num_wanted(start, end)
        scorer.read(ROWS[start : start + wanted])
        start = end
    first, second, third = scorer.take()
    assert first is None
    assert second is not None
    assert third is not None
    expected = ROWS - np.log(np.exp(ROWS).sum(axis=1, keepdims=True))
    assert (second.token_id, third.token_id) == (1, 0)
    assert second.logprob == pytest.approx(expected[0, 1], abs=1e-5)
    assert third.logprob == pytest.approx(expected[1, 0], abs=1e-5)
    assert [token for token, _ in third.top] == [2, 0]


def test_scorer_tells_nothing_until_all_is_read_and_that_once() -> None:
    scorer = PromptScorer(np.array([3, 1, 0], np.int64), top=0)
    scorer.read(ROWS[:1])
    assert scorer.take() == ()
    assert scorer.num_wanted(0, 3) == 1  # the first is read, and the last has no next one
    scorer.read(ROWS[1:2])
    assert len(scorer.take()) == 3
    assert scorer.take() == ()


def test_scheduled_tokens_have_rows_for_what_is_read_and_for_what_is_sampled() -> None:
    request: Any = SimpleNamespace(
        scorer=PromptScorer(np.array([3, 1, 0], np.int64), top=0),
        pooler=Pooler(Pooling(kind="last", normalize=False), 3),
        num_known=3,
        num_prompt=3,
        max_tokens=5,
    )
    part = ScheduledTokens.of(request, 0, 2)
    assert (part.scored, part.pooled, part.num_rows, part.first_row) == (2, 0, 2, 0)
    assert (part.completes, part.samples, part.reads) == (False, False, True)
    request.scorer.read(ROWS[:2])
    rest = ScheduledTokens.of(request, 2, 3)
    assert (rest.scored, rest.pooled, rest.num_rows, rest.first_row) == (0, 1, 1, 0)
    assert (rest.completes, rest.samples, rest.reads) == (True, True, True)


def test_scheduled_tokens_of_a_plain_request_are_not_read() -> None:
    request: Any = SimpleNamespace(
        scorer=None, pooler=None, num_known=3, num_prompt=3, max_tokens=5
    )
    tokens = ScheduledTokens.of(request, 0, 3)
    assert (tokens.scored, tokens.pooled, tokens.reads) == (0, 0, False)
    assert (tokens.num_rows, tokens.first_row) == (1, 2)
