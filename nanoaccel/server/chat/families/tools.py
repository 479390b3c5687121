"""Functions that a model may call, checked and with schemas that can be enforced."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nanoaccel.errors import SamplingError
from nanoaccel.runtime.sampling.grammar import Grammar
from nanoaccel.server.api_error import bad_request

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
# Keywords beside which a schema may have members that "properties" does not name.
_OPEN = ("additionalProperties", "patternProperties", "unevaluatedProperties", "propertyNames",
         "allOf", "anyOf", "oneOf", "$ref", "minProperties", "if")  # fmt: skip
# The white space of Python's and jinja's JSON, in which models see calls.
_OPTIONS = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "lenient": False,
    "coerce_one_of": False,
}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call.

    Args:
        name: Its name.
        schema: JSON schema of its arguments: an object, without members that it does not name.
    """

    name: str
    schema: Mapping[str, Any]

    @property
    def arguments(self) -> str:
        """A Lark expression for its arguments."""
        return json_expression(self.schema)


def json_expression(schema: Mapping[str, Any]) -> str:
    """A Lark expression for JSON of a schema."""
    return f"%json {json.dumps({**schema, 'x-guidance': _OPTIONS}, ensure_ascii=False)}"


def checked_tools(tools: Sequence[Mapping[str, Any]]) -> tuple[Tool, ...]:
    """The tools of a request.

    Args:
        tools: In OpenAI's form.

    Raises:
        ApiError: A name or a schema cannot be used; two have the same name.
    """
    made = tuple(_checked(tool["function"], place) for place, tool in enumerate(tools))
    for name in _twice(tool.name for tool in made):
        raise bad_request(f"tools holds two functions named {name!a}. Rename one", "tools")
    return made


def _twice(names: Iterable[str]) -> Iterable[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def _checked(function: Mapping[str, Any], place: int) -> Tool:
    name = function["name"]
    if not _NAME.fullmatch(name):
        raise bad_request(
            f"tools[{place}] is named {name[:80]!a}. A name has 1 to 64 letters, digits and _ . -",
            "tools",
        )
    given = function.get("parameters")
    schema = {} if given is None else given
    if not isinstance(schema, Mapping) or schema.get("type", "object") != "object":
        raise bad_request(
            f"tools[{place}]: the parameters of {name!a} are no JSON schema of an object", "tools"
        )
    schema = {"type": "object", "properties": {}, **schema}
    if not any(word in schema for word in _OPEN):
        schema["additionalProperties"] = False
    try:
        _check_schema(json.dumps(schema, ensure_ascii=False))
    except SamplingError as error:
        raise bad_request(
            f"tools[{place}]: the parameters of {name!a} cannot be enforced: {error}", "tools"
        ) from error
    return Tool(name, schema)


@lru_cache(maxsize=1024)
def _check_schema(schema: str) -> None:
    """Refuse what cannot be enforced; clients send the same tools again and again."""
    Grammar.json_schema(schema)
