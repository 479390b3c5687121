"""Values as Gemma writes them, as Lark rules from a JSON schema."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from nanoaccel.server.api_error import bad_request
from nanoaccel.server.chat.families.tools import json_expression
from nanoaccel.server.chat.reading.gemma import QUOTE
from nanoaccel.server.chat.spelling import Spelling

_NOTES = {"type", "description", "title", "default", "examples", "$defs", "definitions", "$schema"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_PLAIN = ("integer", "number", "boolean", "null")


class GemmaValues:
    """Writes the rules of one tool's values.

    Args:
        tool: Its name, for messages.
        prefix: What names of rules begin with.
        root: The schema of its arguments, in which references are looked up.
        spelling: Writes literals.
    """

    def __init__(self, tool: str, prefix: str, root: Mapping[str, Any], spelling: Spelling) -> None:
        self._tool = tool
        self._prefix = prefix
        self._root = root
        self._spelling = spelling
        self._quote = spelling.literal(QUOTE)
        self._references: dict[str, str] = {}
        self._count = 0
        self.rules: list[str] = []

    def members(self, schema: Mapping[str, Any]) -> str:
        """An expression for the members of an object, without its braces.

        Raises:
            ApiError: The schema says what this form cannot.
        """
        self._allow(schema, {"properties", "required", "additionalProperties"})
        named: Mapping[str, Any] = schema.get("properties", {})
        needed = schema.get("required", ())
        for name in (*needed, *named):
            if name not in named or not _NAME.fullmatch(name):
                self._refuse(f"{name!a:.80} is a member without a schema, or no plain name")
        # Gemma's template sorts names. A rule for what follows each: behind nothing, and behind
        # another member.
        first, more = '""', '""'
        for name in sorted(named, reverse=True):
            value = f"{self._spelling.literal(name + ':')} {self._value(named[name])}"
            own = self._rule(f"{value} {more}")
            behind = self._rule(f'"," {value} {more}')
            is_needed = name in needed
            first = own if is_needed else self._rule(f"{own} | {first}")
            more = behind if is_needed else self._rule(f"{behind} | {more}")
        return first

    def _value(self, schema: object) -> str:
        if not isinstance(schema, Mapping):
            self._refuse("a value has no schema")
        if "$ref" in schema:
            return self._referred(schema["$ref"])
        if "anyOf" in schema:
            self._allow(schema, {"anyOf"})
            return f"({' | '.join(map(self._value, schema['anyOf']))})"
        kind = schema.get("type", "string" if "enum" in schema else None)
        if isinstance(kind, list):
            return f"({' | '.join(self._value({**schema, 'type': one}) for one in kind)})"
        if kind in _PLAIN:
            return self._rule(json_expression(schema))
        if kind == "string":
            return self._string(schema)
        if kind == "array":
            self._allow(schema, {"items"})
            item = self._value(schema.get("items"))
            return f'"[" ({item} ("," {item})*)? "]"'
        if kind != "object":
            self._refuse("a value has no type")
        return f'"{{" {self.members(schema)} "}}"'

    def _string(self, schema: Mapping[str, Any]) -> str:
        self._allow(schema, {"enum"})
        if "enum" not in schema:
            rule = self._new()
            self.rules.append(self._spelling.until(rule, QUOTE))
            return f"{self._quote} {rule}"
        texts: Sequence[object] = schema["enum"]
        if not all(isinstance(text, str) for text in texts):
            self._refuse("an enum holds other values than texts")
        ways = " | ".join(self._spelling.literal(str(text)) for text in texts)
        return f"{self._quote} ({ways}) {self._quote}"

    def _referred(self, reference: object) -> str:
        """The rule of a reference within the schema."""
        path = str(reference)
        if path not in self._references:
            found: Any = self._root
            for step in path.removeprefix("#/").split("/"):
                found = found.get(step) if isinstance(found, Mapping) else None
            rule = self._references[path] = self._new()
            self.rules.append(f"{rule}: {self._value(found)}")
        return self._references[path]

    def _rule(self, expression: str) -> str:
        rule = self._new()
        self.rules.append(f"{rule}: {expression}")
        return rule

    def _new(self) -> str:
        self._count += 1
        return f"{self._prefix}_{self._count}"

    def _allow(self, schema: Mapping[str, Any], words: set[str]) -> None:
        unknown = sorted(schema.keys() - _NOTES - words)
        if unknown:
            self._refuse(f"it holds {unknown[0]}")

    def _refuse(self, problem: str) -> NoReturn:
        raise bad_request(
            f"the parameters of {self._tool!a} cannot be enforced in this model's form of calls: "
            f"{problem}",
            "tools",
        )
