from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoaccel.runtime.speculation.drafters import Draft, DrafterOptions
from nanoaccel.runtime.speculation.drafters.ngram import NgramDrafter
from nanoaccel.runtime.speculation.drafters.ngram_index import MAX_MATCH, NgramIndex

LEAST_MATCHES = (1, 2, 3, 4, 6, 9, 14, 24)
NUM_LEVELS = len(LEAST_MATCHES)
VOCAB_SIZE = 1000


def drafter(corpus_tokens: int = 0) -> NgramDrafter:
    return NgramDrafter(DrafterOptions(vocab_size=VOCAB_SIZE, corpus_tokens=corpus_tokens))


def draft_for(
    text: Sequence[int], *, request: int = 0, limit: int = 8, floor: float = 0.0
) -> Draft:
    """An empty draft for which a guess is right half of the time."""
    return Draft(request, np.array(text, np.int64), limit, lambda _: 0.5, (floor,))


def guesses(
    guesser: NgramDrafter, text: Sequence[int], *, request: int = 0, limit: int = 8
) -> list[int]:
    draft = draft_for(text, request=request, limit=limit)
    guesser.propose([draft])
    return draft.proposed


def finish(guesser: NgramDrafter, text: Sequence[int], num_prompt: int, request: int = 0) -> None:
    guesser.finish(request, np.array(text, np.int64), num_prompt)


@pytest.mark.parametrize("text", [[], [1], [1, 2, 3, 4, 5]])
def test_ngram_drafter_guesses_nothing_where_nothing_matches(text: list[int]) -> None:
    assert guesses(drafter(), text) == []
    assert guesses(drafter(corpus_tokens=100), text) == []


def test_ngram_drafter_continues_a_repetition() -> None:
    assert guesses(drafter(), [1, 2, 3, 4, 5, 6, 1, 2, 3], limit=3) == [4, 5, 6]


def test_ngram_drafter_goes_on_periodically_beyond_the_end() -> None:
    assert guesses(drafter(), [7, 1, 2, 3, 1, 2], limit=8) == [3, 1, 2, 3, 1, 2, 3, 1]
    assert guesses(drafter(), [4, 4], limit=5) == [4] * 5


@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=st.lists(st.integers(0, 3), max_size=60), limit=st.integers(1, 40))
def test_ngram_drafter_copies_what_follows_the_best_match(text: list[int], limit: int) -> None:
    index = NgramIndex()
    index.extend(text)
    place, length = index.find(text[-MAX_MATCH:])
    period = len(text) - place
    expected = [text[place + step % period] for step in range(limit)] if length else []
    assert guesses(drafter(), text, limit=limit) == expected


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    text=st.lists(st.integers(0, 2), min_size=1, max_size=40),
    ends=st.sets(st.integers(1, 40), max_size=8),
)
def test_ngram_drafter_guesses_the_same_as_the_text_grows(text: list[int], ends: set[int]) -> None:
    growing = drafter()
    for end in sorted(ends):
        assert guesses(growing, text[:end]) == guesses(drafter(), text[:end])
    assert guesses(growing, text) == guesses(drafter(), text)


def test_ngram_drafter_fills_each_draft_from_its_own_text() -> None:
    texts = [[1, 2, 3, 1, 2], [9, 8, 7], [5, 5]]
    drafts = [draft_for(text, request=place, limit=3) for place, text in enumerate(texts)]
    drafter().propose(drafts)
    assert [draft.proposed for draft in drafts] == [[3, 1, 2], [], [5, 5, 5]]


@pytest.mark.parametrize("limit", [1, 2, 3, 16])
def test_ngram_drafter_keeps_the_limit(limit: int) -> None:
    assert len(guesses(drafter(), [1, 2, 3, 1, 2], limit=limit)) == limit


def test_ngram_drafter_stops_where_a_draft_is_long_enough() -> None:
    draft = draft_for([1, 2, 3, 1, 2], limit=16, floor=0.2)
    drafter().propose([draft])
    assert draft.proposed == [3, 1, 2]
    assert draft.cumulative == [0.5, 0.25, 0.125]


@pytest.mark.parametrize(("level", "length"), list(enumerate(LEAST_MATCHES)))
def test_ngram_drafter_levels_of_evidence_rise_with_the_match(level: int, length: int) -> None:
    match = list(range(100, 100 + length))
    draft = draft_for([*match, 1, 2, 3, *match], limit=1)
    drafter().propose([draft])
    assert (draft.proposed, draft.buckets) == ([1], [level])


def test_ngram_drafter_believes_more_in_a_guess_that_lengthens_the_match() -> None:
    draft = draft_for([1, *range(100, 140), 1], limit=30)
    drafter().propose([draft])
    expected = [max(i for i in range(NUM_LEVELS) if LEAST_MATCHES[i] <= n) for n in range(1, 31)]
    assert draft.buckets == expected


def test_ngram_drafter_has_a_prior_for_each_level() -> None:
    guesser = drafter(corpus_tokens=1000)
    text = list(range(100, 180))
    finish(guesser, text, num_prompt=0)
    own, of_others = draft_for(text * 2, request=1, limit=16), draft_for(text[:40], request=2)
    guesser.propose([own, of_others])
    assert max(own.buckets) == NUM_LEVELS - 1
    assert max(of_others.buckets) == len(guesser.priors) - 1
    for priors in (guesser.priors[:NUM_LEVELS], guesser.priors[NUM_LEVELS:]):
        assert list(priors) == sorted(priors)
        assert 0 < priors[0] < priors[-1] < 1


def test_ngram_drafter_finish_forgets_a_request() -> None:
    guesser = drafter()
    assert guesses(guesser, [1, 2, 3, 1, 2]) != []
    finish(guesser, [1, 2, 3, 1, 2, 3], num_prompt=2)
    assert guesser._texts == {}
    assert guesses(guesser, [9, 1, 2]) == []


def test_ngram_drafter_finish_of_an_unknown_request_is_fine() -> None:
    finish(drafter(), [1, 2, 3], num_prompt=1, request=5)
    finish(drafter(corpus_tokens=10), [1, 2, 3], num_prompt=3, request=5)


def test_ngram_drafter_without_corpus_keeps_requests_apart() -> None:
    guesser = drafter()
    guesses(guesser, [1, 2, 3, 4, 5, 6], request=0)
    assert guesses(guesser, [1, 2, 3], request=1) == []
    finish(guesser, [1, 2, 3, 4, 5, 6], num_prompt=0, request=0)
    assert guesses(guesser, [1, 2, 3, 4], request=1) == []
    assert guesses(guesser, [1, 2, 3], request=2) == []


def test_ngram_drafter_finds_the_text_of_a_finished_request() -> None:
    guesser = drafter(corpus_tokens=100)
    guesses(guesser, [50, 51, 1, 2, 3, 4, 5, 6], request=0)
    assert guesses(guesser, [1, 2, 3], request=1) == []
    finish(guesser, [50, 51, 1, 2, 3, 4, 5, 6], num_prompt=2, request=0)
    assert guesses(guesser, [9, 1, 2, 3], request=2, limit=2) == [4, 5]


def test_ngram_drafter_keeps_prompts_out_of_the_corpus() -> None:
    guesser = drafter(corpus_tokens=100)
    finish(guesser, [1, 2, 3, 4, 5, 6, 7], num_prompt=5)
    assert guesses(guesser, [1, 2, 3], request=1) == []
    assert guesses(guesser, [9, 5], request=2) == []
    assert guesses(guesser, [9, 6], request=3) == [7]


def test_ngram_drafter_stops_where_the_text_of_another_ends() -> None:
    guesser = drafter(corpus_tokens=100)
    finish(guesser, [1, 2, 3, 4, 5], num_prompt=0)
    assert guesses(guesser, [2, 3], request=1, limit=16) == [4, 5]


def test_ngram_drafter_prefers_its_own_text_unless_another_matches_longer() -> None:
    guesser = drafter(corpus_tokens=100)
    finish(guesser, [1, 2, 3, 70, 71, 72], num_prompt=0)
    draft = draft_for([1, 2, 3, 80, 81, 1, 2, 3], request=1, limit=1)
    longer = draft_for([2, 3, 80, 81, 1, 2, 3], request=2, limit=1)
    guesser.propose([draft, longer])
    assert (draft.proposed, draft.buckets) == ([80], [2])
    assert (longer.proposed, longer.buckets) == ([70], [NUM_LEVELS + 2])


def test_ngram_drafter_prefers_the_latest_of_other_texts() -> None:
    guesser = drafter(corpus_tokens=12)
    for follower in (70, 71, 72):
        finish(guesser, [1, 2, 3, follower, 60], num_prompt=0)
    assert guesses(guesser, [1, 2, 3], request=1, limit=1) == [72]


def test_ngram_drafter_forgets_the_oldest_texts() -> None:
    guesser = drafter(corpus_tokens=20)
    for start in range(0, 100, 10):
        finish(guesser, list(range(start, start + 10)), num_prompt=0)
    found = [
        start for start in range(0, 100, 10) if guesses(guesser, [start, start + 1], request=start)
    ]
    assert found == [80, 90]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    half=st.integers(1, 30),
    lengths=st.lists(st.integers(0, 80), max_size=12),
)
def test_ngram_drafter_corpus_is_bounded(half: int, lengths: list[int]) -> None:
    guesser = drafter(corpus_tokens=2 * half)
    total: list[int] = []
    for length in lengths:
        text = [token % VOCAB_SIZE for token in range(len(total), len(total) + length)]
        total += text
        finish(guesser, [7, *text], num_prompt=1)
        assert guesser._corpus is not None
        kept = [token for index in reversed(guesser._corpus._texts) for token in index.tokens]
        assert len(kept) <= 2 * half
        assert len(kept) >= min(half, length)
        assert kept[len(kept) - min(half, length) :] == text[len(text) - min(half, length) :]


def test_ngram_drafter_forgets_all_when_it_is_closed() -> None:
    guesser = drafter(corpus_tokens=100)
    guesses(guesser, [1, 2, 3, 1], request=0)
    finish(guesser, [1, 2, 3, 4], num_prompt=0, request=1)
    guesser.close()
    guesser.close()
    assert (guesser._texts, guesser._corpus) == ({}, None)
