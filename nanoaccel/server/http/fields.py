"""The fields of a request: read one by one, so that those nobody read can be named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from nanoaccel.server.api_error import bad_request

_NAMES = 20
_NAME_CHARS = 60

Kind = TypeVar("Kind")


class Fields:
    """A JSON object's fields. ``null`` is the same as absence, as in OpenAI's API.

    Args:
        body: The object.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self._read: set[str] = set()

    def raw(self, name: str) -> Any:
        """A field as it is, for what checks it itself; None when absent."""
        self._read.add(name)
        return self._body.get(name)

    def typed(self, name: str, kind: type[Kind], default: Kind) -> Kind:
        """A field that must be of one kind.

        Args:
            name: Its name.
            kind: ``str``, ``bool``, ``int``, ``list`` or ``dict``.
            default: What holds when it is absent.

        Raises:
            ApiError: It is of another.
        """
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise bad_request(f"{name} is {shown(value)}. It must be {_KIND_NAMES[kind]}", name)
        return value

    def listed(self, name: str, limit: int) -> list[Any]:
        """A list of at most ``limit`` items; empty when absent.

        Raises:
            ApiError: It is no list, or longer.
        """
        items: list[Any] = self.typed(name, list, [])
        if len(items) > limit:
            raise bad_request(f"{name} has {len(items)} items. At most {limit} are allowed", name)
        return items

    def within(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``.

        Raises:
            ApiError: It is none.
        """
        value = self.typed(name, int, default)
        if not low <= value <= high:
            raise bad_request(f"{name}={shown(value)} is out of range. It is {low} to {high}", name)
        return value

    def unread(self) -> str:
        """Names of fields that nobody asked for, for a header; empty when there are none."""
        names = [
            name
            for name, value in self._body.items()
            if name not in self._read and value is not None
        ]
        clean = [json.dumps(name[:_NAME_CHARS])[1:-1].replace(",", "") for name in names[:_NAMES]]
        return ", ".join(name for name in clean if name.strip())


def shown(value: object) -> str:
    """A value in a message: its beginning, in ASCII and on one line."""
    return (
        json.dumps(value)[:80] if not isinstance(value, dict | list) else _KIND_NAMES[type(value)]
    )


_KIND_NAMES: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    list: "a list",
    dict: "an object",
}
