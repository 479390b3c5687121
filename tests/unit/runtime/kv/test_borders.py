"""Behind which tokens of a pass a state is kept, against the sets that the words describe."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from nanoaccel.runtime.kv.recurrent.borders import (
    Kept,
    around,
    at_borders,
    at_end,
    at_last_border,
    behind_each,
)


def passes() -> Iterator[tuple[int, int]]:
    for begin, tokens in product(range(9), range(1, 12)):
        yield begin, begin + tokens


def check(kept: Kept, begin: int, end: int) -> list[int]:
    lengths = kept.lengths
    assert (kept.begin, kept.end, lengths[-1]) == (begin, end, end)
    assert begin < lengths[0]
    assert lengths == sorted(set(lengths))
    assert 0 <= kept.offset < kept.interval
    return lengths


def test_kept_behind_each_token_and_at_the_end() -> None:
    for begin, end in passes():
        assert check(behind_each(begin, end), begin, end) == [*range(begin + 1, end + 1)]
        assert check(at_end(begin, end), begin, end) == [end]


def test_kept_around_a_length_are_it_and_the_end() -> None:
    for begin, end in passes():
        for middle in range(begin + 1, end):
            assert check(around(begin, middle, end), begin, end) == [middle, end]


@pytest.mark.parametrize("interval", [2, 4])
def test_kept_at_borders_are_those_up_to_the_last_one(interval: int) -> None:
    for (begin, end), last in product(passes(), range(0, 20, 2)):
        wanted = [one for one in range(last % interval, last + 1, interval) if begin < one < end]
        lengths = check(at_borders(begin, end, last, interval), begin, end)
        if not wanted:
            assert lengths == [end]
        assert lengths[: len(wanted)] == wanted
        # Behind the last one they may go on, at the same distance.
        assert all((one - last) % interval == 0 for one in lengths[:-1])
        least = check(at_last_border(begin, end, last, interval), begin, end)
        reached = [one for one in range(last % interval, last + 1, interval) if one <= end]
        shown = reached[-1:] if reached and begin < reached[-1] < end else []
        assert least == [*shown, end]


def test_kept_of_a_shorter_pass_are_those_that_it_reaches() -> None:
    kept = at_borders(1, 20, 16, 4)
    assert kept.lengths == [4, 8, 12, 16, 20]
    assert kept.cut(12).lengths == [4, 8, 12]
    with pytest.raises(AssertionError):
        kept.cut(13)
