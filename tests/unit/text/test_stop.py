"""Stop strings: the first one wins, however the text was cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoaccel.text import StopMatcher

# Few letters, so that stop strings overlap each other and themselves.
TEXTS = st.text("abc", max_size=30)
STOPS = st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=4)


def _run(stops: list[str], pieces: list[str]) -> tuple[str, str | None]:
    matcher = StopMatcher(stops)
    text = "".join([matcher.push(piece) for piece in pieces]) + matcher.flush()
    return text, matcher.matched


def _expected(stops: list[str], text: str) -> tuple[str, str | None]:
    for start in range(len(text)):
        for stop in sorted(stops, key=len):
            if text.startswith(stop, start):
                return text[:start], stop
    return text, None


def _cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@settings(deadline=None)
@given(STOPS, TEXTS, st.lists(st.integers(0, 30), max_size=12))
def test_stop_matcher_result_is_that_of_the_whole_text(
    stops: list[str], text: str, places: list[int]
) -> None:
    assert _run(stops, _cut(text, places)) == _expected(stops, text)
    assert _run(stops, list(text)) == _expected(stops, text)


@settings(deadline=None)
@given(STOPS, TEXTS)
def test_stop_matcher_holds_back_only_what_could_become_a_stop(stops: list[str], text: str) -> None:
    matcher = StopMatcher(stops)
    shown = ""
    for end, character in enumerate(text, start=1):
        shown += matcher.push(character)
        if matcher.matched is not None:
            break
        could_become = (
            start for start in range(end) if any(stop.startswith(text[start:end]) for stop in stops)
        )
        assert shown == text[: next(could_become, end)]


def test_stop_matcher_without_stops_passes_text_on() -> None:
    matcher = StopMatcher(())
    text = "any text"
    assert matcher.push(text) is text
    assert matcher.flush() == ""
    assert matcher.matched is None


def test_stop_matcher_emits_nothing_after_a_match() -> None:
    matcher = StopMatcher(["\n\n", "User:"])
    assert matcher.push("Hello\n") == "Hello"
    assert matcher.push("\nUser: hi") == ""
    assert matcher.matched == "\n\n"
    assert matcher.push("more") == ""
    assert matcher.flush() == ""


def test_stop_matcher_prefers_the_shortest_of_equal_starts() -> None:
    assert _run(["abc", "ab"], ["xabc"]) == ("x", "ab")


@pytest.mark.parametrize("pieces", [["abcd"], ["abc", "d"], list("abcd")])
def test_stop_matcher_waits_for_a_match_that_started_earlier(pieces: list[str]) -> None:
    assert _run(["abcd", "bc"], pieces) == ("", "abcd")


def test_stop_matcher_flush_settles_a_later_match() -> None:
    matcher = StopMatcher(["abcd", "bc"])
    assert matcher.push("xabc") == "x"
    assert matcher.matched is None
    assert matcher.flush() == "a"
    assert matcher.matched == "bc"


def test_stop_matcher_takes_stops_literally() -> None:
    assert _run(["a.c", "("], ["abc", "a.c"]) == ("abc", "a.c")
