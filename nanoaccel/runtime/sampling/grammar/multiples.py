"""Bounds what ``multipleOf`` costs: its automaton counts remainders, and common ones multiply."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction

from nanoaccel.errors import SamplingError

_MOST = 100_000
_JSON = re.compile(r"%json\s*")


def check_multiples(schema: object) -> None:
    """Refuse a schema whose multiples have too large a common one, digits behind the point too.

    Raises:
        SamplingError: They have, or one is negative.
    """
    common = 1
    for number in _multiples(schema):
        if isinstance(number, bool) or not isinstance(number, int | float) or number == 0:
            continue  # the library says what is wrong with it
        if not math.isfinite(number):
            continue
        if number < 0:
            raise SamplingError(f"multipleOf={number} is out of range", "It must be above 0")
        exact = Fraction(str(number))
        common = math.lcm(common, exact.numerator)
        if common > _MOST:
            raise SamplingError(
                f"multipleOf={number} needs an automaton of {common:.0e} states or more",
                f"The common multiple of all multipleOf of a schema is at most {_MOST:,}",
            )


def schemas_within(lark: str) -> Iterator[object]:
    """The JSON schemas that stand in a Lark grammar."""
    decoder = json.JSONDecoder()
    for found in _JSON.finditer(lark):
        try:
            yield decoder.raw_decode(lark, found.end())[0]
        except (ValueError, RecursionError):
            continue  # the library says what is wrong with it


def _multiples(schema: object) -> Iterator[object]:
    todo = [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, Mapping):
            if "multipleOf" in part:
                yield part["multipleOf"]
            todo += part.values()
        elif isinstance(part, list):
            todo += part
