from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoaccel.runtime.speculation.drafters.ngram_index import MAX_MATCH, NgramIndex

CANDIDATES = 8
LARGEST = (1 << 21) - 1


def index_of(text: Sequence[int]) -> NgramIndex:
    index = NgramIndex()
    index.extend(text)
    return index


def common_end(text: Sequence[int], tail: Sequence[int]) -> int:
    """How many of the last tokens of both are equal."""
    count = 0
    while count < min(len(text), len(tail)) and text[-1 - count] == tail[-1 - count]:
        count += 1
    return count


def brute_force(text: Sequence[int], tail: Sequence[int]) -> tuple[int, int]:
    """What ``find`` promises, by looking at every place of the text."""
    lengths = {place: common_end(text[:place], tail) for place in range(1, len(text))}
    for run in (3, 2, 1):
        candidates = [place for place, length in lengths.items() if length >= run]
        if not candidates:
            continue
        if run < 3:
            return candidates[-1], run
        latest = candidates[-CANDIDATES:]
        best = max(latest, key=lambda place: (min(lengths[place], MAX_MATCH), place))
        return best, min(lengths[best], MAX_MATCH)
    return 0, 0


@st.composite
def texts(draw: st.DrawFn, longest: int = 80) -> list[int]:
    """A text of few different tokens, most of them repeated in long runs."""
    tokens = st.integers(0, draw(st.sampled_from([1, 2, 3, 9])))
    text: list[int] = []
    for _ in range(draw(st.integers(0, 6))):
        copied = draw(st.integers(0, 45)) if text else 0
        if copied > 0:
            start = draw(st.integers(0, len(text) - 1))
            text += text[start : start + copied]
        else:
            text += draw(st.lists(tokens, max_size=12))
    return text[:longest]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=texts(), tail=texts(longest=40))
def test_ngram_index_find_matches_brute_force(text: list[int], tail: list[int]) -> None:
    tail = tail[-MAX_MATCH:]
    assert index_of(text).find(tail) == brute_force(text, tail)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=texts(longest=160))
def test_ngram_index_find_matches_brute_force_for_its_own_end(text: list[int]) -> None:
    index = index_of(text)
    place, length = index.find(text[-MAX_MATCH:])
    assert (place, length) == brute_force(text, text[-MAX_MATCH:])
    assert length == 0 or text[place - length : place] == text[len(text) - length :]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(text=texts(), cuts=st.lists(st.integers(0, 80), max_size=5), data=st.data())
def test_ngram_index_finds_the_same_however_it_was_extended(
    text: list[int], cuts: list[int], data: st.DataObject
) -> None:
    by_token, by_piece = NgramIndex(), NgramIndex()
    for token in text:
        by_token.extend([token])
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for start, end in pairwise(bounds):
        by_piece.extend(text[start:end])
    assert by_token.tokens == by_piece.tokens == text
    for tail in (text[-MAX_MATCH:], data.draw(texts(longest=MAX_MATCH))):
        assert by_token.find(tail) == by_piece.find(tail) == index_of(text).find(tail)


def test_ngram_index_finds_nothing_in_an_empty_text() -> None:
    assert NgramIndex().find([]) == (0, 0)
    assert NgramIndex().find([1, 2, 3]) == (0, 0)


def test_ngram_index_finds_nothing_for_an_empty_end() -> None:
    assert index_of([1, 2, 3, 1, 2, 3]).find([]) == (0, 0)


def test_ngram_index_finds_nothing_for_an_unknown_token() -> None:
    assert index_of([1, 2, 3, 1, 2, 3]).find([1, 2, 3, 9]) == (0, 0)


def test_ngram_index_ignores_a_run_that_nothing_follows() -> None:
    assert index_of([1, 2, 3]).find([1, 2, 3]) == (0, 0)
    assert index_of([7]).find([7]) == (0, 0)


@pytest.mark.parametrize(
    ("tail", "found"),
    [
        ([1, 2, 3, 4], (4, 4)),
        ([9, 2, 3, 4], (4, 3)),
        ([9, 9, 3, 4], (8, 2)),
        ([9, 9, 9, 4], (8, 1)),
        ([4], (8, 1)),
        ([3, 4], (8, 2)),
    ],
)
def test_ngram_index_falls_back_to_two_tokens_and_one(
    tail: list[int], found: tuple[int, int]
) -> None:
    assert index_of([1, 2, 3, 4, 5, 6, 3, 4, 8]).find(tail) == found


def test_ngram_index_prefers_a_longer_match_to_a_later_one() -> None:
    text = [5, 1, 2, 3, 10, 6, 1, 2, 3, 11]
    assert index_of(text).find([5, 1, 2, 3]) == (4, 4)


def test_ngram_index_prefers_the_latest_of_equally_long_matches() -> None:
    text = [5, 1, 2, 3, 10, 5, 1, 2, 3, 11, 6, 1, 2, 3, 12]
    assert index_of(text).find([5, 1, 2, 3]) == (9, 4)
    assert index_of(text).find([7, 1, 2, 3]) == (14, 3)


def test_ngram_index_looks_only_at_the_latest_candidates() -> None:
    best, other = [5, 1, 2, 3], [6, 1, 2, 3]
    near, far = index_of(best + other * 7 + [0]), index_of(best + other * 8 + [0])
    assert near.find(best) == (4, 4)
    assert far.find(best) == (36, 3)


@pytest.mark.parametrize("length", [MAX_MATCH - 1, MAX_MATCH, MAX_MATCH + 1, 3 * MAX_MATCH])
def test_ngram_index_cuts_matches_at_max_match(length: int) -> None:
    text = list(range(length))
    found = (length, min(length, MAX_MATCH))
    assert index_of([*text, 999]).find(text) == found
    assert index_of([*text, 999]).find(text[-MAX_MATCH:]) == found


def test_ngram_index_prefers_the_latest_of_matches_that_are_cut() -> None:
    text = list(range(MAX_MATCH))
    assert index_of([7, *text, 998, 8, *text, 999]).find([7, *text]) == (2 * MAX_MATCH + 3, 32)


@pytest.mark.parametrize("tail", [[LARGEST, 0, 0], [0, LARGEST, 0], [0, 0, LARGEST]])
def test_ngram_index_tells_the_largest_ids_apart(tail: list[int]) -> None:
    text = [LARGEST, 0, 0, 8, 0, LARGEST, 0, 8, 0, 0, LARGEST, 8]
    assert index_of(text).find(tail) == brute_force(text, tail)


def test_ngram_index_shares_nothing_with_its_caller() -> None:
    text = [1, 2, 3, 1, 2]
    index = index_of(text)
    text[2] = 9
    assert index.tokens == [1, 2, 3, 1, 2]
