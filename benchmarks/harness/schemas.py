"""Random JSON schemas of the kind that grammars enforce."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

_WORDS = (
    "name",
    "age",
    "city",
    "tags",
    "id",
    "price",
    "is_open",
    "größe",
    'a "b"',
    "x\\y",
    "notes",
)
_FORMATS = ("date", "time", "date-time", "email", "uuid", "ipv4")
_PATTERNS = ("^[A-Z]{2}[0-9]{3}$", "^(red|green|blue)$", "^[a-z]+(-[a-z]+)*$", "^\\d{1,4}$")


def random_schema(draw: random.Random, depth: int = 3) -> dict[str, Any]:
    """A schema of an object with up to ``depth`` levels, and perhaps with definitions.

    >>> random_schema(random.Random(1))["type"]
    'object'
    """
    schema = _object(draw, depth)
    if draw.random() < 0.2:
        schema["$defs"] = {"part": _object(draw, 1)}
        schema["properties"]["part"] = {"$ref": "#/$defs/part"}
    return schema


def _object(draw: random.Random, depth: int) -> dict[str, Any]:
    names = draw.sample(_WORDS, draw.randint(1, 4))
    return {
        "type": "object",
        "properties": {name: _value(draw, depth - 1) for name in names},
        "required": names[: draw.randint(0, len(names))],
        "additionalProperties": False,
    }


def _value(draw: random.Random, depth: int) -> dict[str, Any]:
    kinds: list[Callable[[random.Random, int], dict[str, Any]]] = [_string, _number, _choice]
    if depth > 0:
        kinds += [_array, _object, _union]
    kind = draw.choice(kinds)
    return kind(draw, depth)


def _string(draw: random.Random, _: int) -> dict[str, Any]:
    least = draw.randint(0, 3)
    return draw.choice(
        [
            {"type": "string", "maxLength": draw.randint(1, 20)},
            {"type": "string", "minLength": least, "maxLength": least + draw.randint(0, 12)},
            {"type": "string", "pattern": draw.choice(_PATTERNS)},
            {"type": "string", "format": draw.choice(_FORMATS)},
        ]
    )


def _number(draw: random.Random, _: int) -> dict[str, Any]:
    low = draw.randint(-1000, 1000)
    return draw.choice(
        [
            {"type": "integer", "minimum": low, "maximum": low + draw.randint(0, 5000)},
            {"type": "integer", "multipleOf": draw.randint(2, 9), "minimum": 0, "maximum": 99},
            {"type": "number", "minimum": low, "exclusiveMaximum": low + 10.5},
            {"type": "boolean"},
        ]
    )


def _choice(draw: random.Random, _: int) -> dict[str, Any]:
    return draw.choice(
        [
            {"enum": draw.sample([*_WORDS, 1, 2.5, None, True], 4)},
            {"const": {"kind": draw.choice(_WORDS), "values": [1, None, "é"]}},
            {"type": ["null", "boolean"]},
        ]
    )


def _array(draw: random.Random, depth: int) -> dict[str, Any]:
    least = draw.randint(0, 2)
    items = _value(draw, depth - 1)
    return {"type": "array", "items": items, "minItems": least, "maxItems": least + 2}


def _union(draw: random.Random, depth: int) -> dict[str, Any]:
    return {"anyOf": [_value(draw, depth - 1) for _ in range(2)]}
