"""Bodies made from the published description: good ones with one field of any other value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema

VALUES: tuple[Any, ...] = (
    True, False, 0, 1, -1, 7, 10**20, -(10**20), 0.5, -0.5, 1e300, "", "a", "7", "\x00", "\ud800",
    "x" * 5000, [], [None], [0], [-1], ["a"], [[]], [{}], ["a"] * 300, {}, {"a": 1}, {"": None},
    {"type": "a"}, {"a": {"a": [{"a": []}]}}, {"role": "a"}, {str(key): key for key in range(2000)},
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """The examples of an operation, with one field changed.

    Args:
        path: Where it goes.
        field: The field.
        value: Its value.
        is_valid: Whether the description allows it.
        bodies: The examples with it; not each has the server read the field.
    """

    path: str
    field: str
    value: Any
    is_valid: bool
    bodies: tuple[dict[str, Any], ...]


def changes(document: dict[str, Any]) -> Iterator[Change]:
    """For each field of each operation, each of ``VALUES`` and those around its limits.

    Args:
        document: What ``/openapi.json`` says.
    """
    for path, methods in document["paths"].items():
        if "requestBody" not in methods.get("post", {}):
            continue
        content = methods["post"]["requestBody"]["content"]["application/json"]
        examples = [one["value"] for one in content["examples"].values()]
        for field, schema in content["schema"]["properties"].items():
            validator = jsonschema.Draft202012Validator(schema)
            for value in (*VALUES, *_edges(schema)):
                made = tuple({**example, field: value} for example in examples)
                yield Change(path, field, value, validator.is_valid(value), made)


def _edges(schema: Any) -> Iterator[float]:
    """Numbers at the limits that a schema names, and just outside."""
    if isinstance(schema, dict):
        for name, step in (("minimum", -1), ("exclusiveMinimum", 0), ("maximum", 1)):
            if name in schema:
                yield from (schema[name], schema[name] + step)
        for part in schema.values():
            yield from _edges(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _edges(part)
