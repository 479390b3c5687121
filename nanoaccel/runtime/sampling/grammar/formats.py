"""Formats of JSON schemas that the library takes too widely, as patterns that are exact.

The library's ``date`` has a 29 February in each year, and its ``time`` has leap seconds at any hour
(RFC 3339 allows them before midnight of UTC alone). Here there are none: an answer needs no leap
second.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_LEAP_YEAR = (
    "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"  # Gregorian
)
_DATE = (
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    f"|{_LEAP_YEAR}-02-29)"
)
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = f"{_CLOCK}:[0-5][0-9](?:\\.[0-9]+)?(?:Z|[+-]{_CLOCK})"
_PATTERNS = {"date": f"^{_DATE}$", "time": f"^{_TIME}$", "date-time": f"^{_DATE}T{_TIME}$"}
# Keywords whose value is data, and those whose value names schemas; all others hold schemas.
_DATA = ("enum", "const", "default", "examples")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_JSON = re.compile(r"%json\s*")


def exact_formats(schema: object) -> object:
    """A schema with patterns in the place of such formats.

    Args:
        schema: A JSON schema, or a list of them; anything else comes back as it is.
    """
    if isinstance(schema, list):
        return [exact_formats(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, object] = {}
    for name, value in schema.items():
        if name in _DATA:
            made[name] = value
        elif name in _NAMED and isinstance(value, Mapping):
            made[name] = {key: exact_formats(part) for key, part in value.items()}
        else:
            made[name] = exact_formats(value)
    form = made.get("format")
    pattern = _PATTERNS.get(form) if isinstance(form, str) else None
    if pattern is None:
        return made
    del made["format"]
    others = made.get("allOf", [])
    if "pattern" not in made:
        made["pattern"] = pattern
    elif isinstance(others, list):
        made["allOf"] = [*others, {"pattern": pattern}]
    return made


def exact_formats_within(lark: str) -> str:
    """A Lark grammar whose JSON schemas have patterns in the place of such formats."""
    decoder = json.JSONDecoder()
    parts: list[str] = []
    done = 0
    for found in _JSON.finditer(lark):
        if found.end() < done:
            continue
        try:
            schema, end = decoder.raw_decode(lark, found.end())
        except (ValueError, RecursionError):
            continue  # the library says what is wrong with it
        parts += [lark[done : found.end()], json.dumps(exact_formats(schema))]
        done = end
    return "".join([*parts, lark[done:]])
