"""Dates and times in JSON schemas are those that there are."""

from __future__ import annotations

import json
import re
from calendar import monthrange
from typing import Any

import pytest

from nanoaccel.runtime.sampling.grammar.formats import exact_formats, exact_formats_within


def pattern_of(form: str) -> str:
    made: Any = exact_formats({"type": "string", "format": form})
    assert set(made) == {"type", "pattern"}
    pattern: str = made["pattern"]
    return pattern


@pytest.mark.parametrize("year", [1, 4, 100, 400, 1900, 1999, 2000, 2023, 2024, 2100, 9999])
def test_date_is_one_of_the_calendar(year: int) -> None:
    date = re.compile(pattern_of("date"))
    for month in range(14):
        last = monthrange(year, month)[1] if 1 <= month <= 12 else 0
        for day in range(33):
            text = f"{year:04}-{month:02}-{day:02}"
            assert (date.search(text) is not None) == (1 <= day <= last), text


@pytest.mark.parametrize(
    ("text", "is_time"),
    [
        ("23:59:59Z", True),
        ("00:00:00.125+23:59", True),
        ("23:59:60Z", False),
        ("24:00:00Z", False),
        ("12:60:00Z", False),
        ("12:00:00", False),
        ("12:00:00+24:00", False),
        ("12:00Z", False),
    ],
)
def test_time_has_no_leap_seconds(text: str, is_time: bool) -> None:
    assert (re.search(pattern_of("time"), text) is not None) == is_time
    together = re.search(pattern_of("date-time"), f"2024-02-29T{text}")
    assert (together is not None) == is_time


def test_formats_are_replaced_in_schemas_and_nowhere_else() -> None:
    data = {"enum": [{"format": "date"}], "const": {"format": "time"}, "format": "uuid"}
    assert exact_formats(data) == data
    named = {"properties": {"format": {"type": "string"}}, "required": ["format"]}
    assert exact_formats(named) == named
    both: Any = exact_formats({"format": "date", "pattern": "^2", "allOf": [{"maxLength": 9}]})
    assert both["pattern"] == "^2"
    assert both["allOf"] == [{"maxLength": 9}, {"pattern": pattern_of("date")}]
    within: Any = exact_formats({"items": [{"properties": {"format": {"format": "date"}}}]})
    assert within["items"][0]["properties"]["format"] == {"pattern": pattern_of("date")}


def test_schemas_of_a_lark_grammar_are_exact_too() -> None:
    lark = 'start: %json {"format": "date"} "x"\nother: %json {"type": 1} %json {"a'
    first, pattern, rest = exact_formats_within(lark).partition(json.dumps(pattern_of("date")))
    assert (first, rest) == (
        'start: %json {"pattern": ',
        '} "x"\nother: %json {"type": 1} %json {"a',
    )
    assert pattern
