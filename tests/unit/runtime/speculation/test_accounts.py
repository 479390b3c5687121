"""What is counted of guesses, and what becomes of the room that they took."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import pytest
from support.guessed_texts import Job, run, whole_texts

from nanoaccel.runtime.kv import PagedCache
from nanoaccel.runtime.speculation.acceptance import AcceptanceEstimator, AcceptanceHistory
from nanoaccel.runtime.speculation.drafters import Draft
from nanoaccel.testing.drafters import Always, Guesser, knowing, same
from nanoaccel.testing.engines import EOS, Bench, quick
from nanoaccel.text import Tokenizer


@pytest.mark.parametrize("right", [0.0, 0.7, 1.0])
def test_request_stats_of_guesses_add_up(tokenizer: Tokenizer, right: float) -> None:
    work = [Job([place, 1, 2], {"max_tokens": 20, "ignore_eos": True}) for place in range(3)]
    _, expected = run(tokenizer, work)
    bench, requests = run(tokenizer, work, [Guesser(knowing(whole_texts(expected), right))])
    stats = [bench.result(request).stats for request in requests]
    assert all(entry.steps + entry.accepted_tokens == 20 for entry in stats)
    found = bench.engine.counters().speculation
    assert sum(entry.steps for entry in stats) == found.rows
    assert sum(entry.drafted_tokens for entry in stats) == found.drafted_tokens
    assert sum(entry.accepted_tokens for entry in stats) == found.accepted_tokens
    for name in ("reached", "accepted"):
        by_position = zip_longest(*(getattr(entry, name) for entry in stats), fillvalue=0)
        assert [sum(counts) for counts in by_position] == list(getattr(found, name))
    assert all(sum(entry.accepted) == entry.accepted_tokens for entry in stats)
    assert all(0 < entry.draft_steps <= entry.steps for entry in stats)
    assert found.tokens == 60
    assert found.tokens_per_step == 60 / found.rows


def test_counters_time_the_first_token_of_a_prompt_that_was_cut(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, max_step_tokens=8)
    bench.submit(list(range(20)), max_tokens=3, ignore_eos=True)
    while bench.engine.has_work:
        bench.time += 1.0
        bench.step()
    counters = bench.engine.counters()
    assert (counters.first_token.count, counters.first_token.total) == (1, 3.0)
    assert (counters.per_token.count, counters.per_token.total) == (2, 2.0)


def test_engine_keeps_no_blocks_for_guesses_that_were_wrong(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, quick(), drafters=[Guesser(same(EOS))], controller=Always())
    bench.submit([1, 2, 3, 4, 5], max_tokens=30, ignore_eos=True)
    bench.step()
    assert bench.engine.counters().owned_blocks == 2


def test_cache_trim_gives_back_what_lies_behind() -> None:
    cache = PagedCache(8, 4)
    assert cache.allocate(1, 20)
    cache.commit(1, np.arange(9))
    cache.trim(1, 9)
    cache.check_integrity()
    assert cache.num_free == 8 - 3
    cache.trim(1, 30)
    assert cache.num_free == 8 - 3


def test_draft_takes_no_more_than_its_limit() -> None:
    draft = Draft(0, np.zeros(1, np.int64), 2, lambda _: 0.9, (0.0,))
    assert [draft.add(token, 0) for token in range(4)] == [True, False, False, False]
    assert draft.proposed == [0, 1]


def test_draft_cannot_change_the_text() -> None:
    text = np.zeros(3, np.int64)
    draft = Draft(0, text, 2, lambda _: 0.9, (0.0,))
    with pytest.raises(ValueError, match="read-only"):
        draft.tokens[0] = 7
    text[0] = 1
    assert draft.tokens[0] == 1


def test_draft_of_poor_evidence_is_judged_again() -> None:
    history = AcceptanceHistory([0.9])

    def guess(right: bool) -> None:
        estimator = AcceptanceEstimator(history)
        draft = Draft(0, np.zeros(1, np.int64), 4, estimator.chance, (0.02,))
        goes_on = draft.add(1, 0)
        assert draft.proposed == [1]
        assert goes_on == (estimator.chance(0) >= 0.02)
        estimator.note(0, right)

    for _ in range(200):
        guess(False)
    for _ in range(1000):
        guess(True)
    assert history.rate(0) > 0.5
