"""Steps in which drafters are not asked."""

from __future__ import annotations

import pytest
from support.guessed_texts import Job, run

from nanoaccel.runtime.speculation.rest import Rest
from nanoaccel.testing.drafters import Guesser
from nanoaccel.text import Tokenizer

MANY, FEW = 8, 2


def left_out(rest: Rest, writers: int, steps: int) -> list[bool]:
    """Which of some steps are left out, where nothing is ever worth checking."""
    found = []
    for _ in range(steps):
        found.append(rest.due(writers))
        if not found[-1]:
            rest.note(worthwhile=False)
    return found


def test_rest_grows_to_four_steps() -> None:
    asked = [step for step, rests in enumerate(left_out(Rest(), MANY, 26)) if not rests]
    assert asked == [0, 2, 5, 9, 14, 19, 24]


def test_rest_ends_with_draft_tokens_that_are_worth_checking() -> None:
    rest = Rest()
    left_out(rest, MANY, 15)
    while rest.due(MANY):
        pass
    rest.note(worthwhile=True)
    assert not rest.due(MANY)


def test_rest_is_none_of_few_requests() -> None:
    rest = Rest()
    assert not any(left_out(rest, FEW, 10))
    left_out(rest, MANY, 15)
    assert not rest.due(FEW)
    assert not rest.due(MANY)


@pytest.mark.parametrize(("requests", "steps"), [(FEW, range(36, 41)), (MANY, range(8, 11))])
def test_engine_asks_drafters_of_many_requests_seldom(
    tokenizer: Tokenizer, requests: int, steps: range
) -> None:
    silent = Guesser(lambda _: [])
    jobs = [Job([1, 2, 3], {"max_tokens": 40, "ignore_eos": True}) for _ in range(requests)]
    run(tokenizer, jobs, [silent])
    assert silent.asked.count(silent.asked[0]) in steps
