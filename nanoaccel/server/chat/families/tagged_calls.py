"""Calls as tags: a tag for each argument, strings without quotes (Qwen3-Coder and others)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanoaccel.server.api_error import bad_request
from nanoaccel.server.chat.families.tools import Tool, json_expression
from nanoaccel.server.chat.reading.calls import CallsReader
from nanoaccel.server.chat.reading.reader import ReplyReader
from nanoaccel.server.chat.reading.tagged import ArgumentTags, TaggedArguments
from nanoaccel.server.chat.spelling import Spelling, quoted

# What a text's schema may say; with anything else it is written as JSON.
_OF_TEXT = {"type", "description", "title", "default", "examples", "enum"}
# What a schema of arguments may say: that a tag for each can obey.
_OF_ARGUMENTS = {
    "type", "properties", "required", "additionalProperties", "patternProperties", "propertyNames",
    "description", "title", "default", "examples", "$schema", "$id", "$defs", "definitions",
}  # fmt: skip
_SHARED = ("$defs", "definitions")
_NAME = re.compile(r"[^<>\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedCalls:
    """How a family writes calls.

    Args:
        trigger: What begins the calls, and stands nowhere else.
        opening: What stands between it and the name of the first function.
        after_name: What stands behind the name of a function.
        tags: What stands around an argument.
        between: What stands between the arguments of a call and the name of the next function.
        closing: What stands behind the arguments of the last call.
    """

    trigger: str
    opening: str
    after_name: str
    tags: ArgumentTags
    between: str
    closing: str

    @property
    def is_at_start(self) -> bool:
        """As in ``Calls``."""
        return False

    @property
    def marks(self) -> tuple[str, ...]:
        """What must be seen in the text."""
        return (self.trigger, self.opening, self.after_name, *self.tags, self.between, self.closing)

    def lark(self, tools: Sequence[Tool], spelling: Spelling, *, several: bool) -> str:
        """Rules of ``calls``, which is what follows the trigger.

        Raises:
            ApiError: The schema of a tool asks for what this form cannot say.
        """
        opening, closing = spelling.literal(self.opening), spelling.literal(self.closing)
        repeat = f" ({spelling.literal(self.between)} call)*" if several else ""
        lines = [
            f"calls: {opening} call{repeat} {closing}",
            "call: " + " | ".join(f"call_{place}" for place in range(len(tools))),
        ]
        for place, tool in enumerate(tools):
            lines += self._call(place, tool, spelling)
        return "\n".join(lines) + "\n"

    def _call(self, place: int, tool: Tool, spelling: Spelling) -> list[str]:
        _check(tool)
        call, rules = spelling.literal(tool.name + self.after_name), []
        for number, (name, schema) in enumerate(tool.schema["properties"].items()):
            rule = f"argument_{place}_{number}"
            head = spelling.literal(f"{self.tags.begin}{name}{self.tags.after_name}")
            gap = spelling.literal(self.tags.gap)
            rules.append(f"{rule}: {head} {rule}_value {gap}")
            rules.append(self._value(f"{rule}_value", schema, tool, spelling))
            call += f" {rule}" if name in tool.schema.get("required", ()) else f" {rule}?"
        return [f"call_{place}: {call}", *rules]

    def _value(
        self, rule: str, schema: Mapping[str, Any] | bool, tool: Tool, spelling: Spelling
    ) -> str:
        """Rules of a value, with the tag that ends it."""
        end = spelling.literal(self.tags.end)
        if isinstance(schema, Mapping) and _is_text(schema):
            if "enum" not in schema:
                return spelling.until(rule, self.tags.end)
            return f"{rule}: (" + " | ".join(map(quoted, schema["enum"])) + f") {end}"
        own = schema if isinstance(schema, Mapping) else {} if schema else {"not": {}}
        shared = {
            name: tool.schema[name] for name in ("$defs", "definitions") if name in tool.schema
        }
        return f"{rule}: {rule}_json {end}\n{rule}_json: {json_expression({**own, **shared})}"

    def reader(self, tools: Sequence[Tool]) -> ReplyReader:
        """What reads an answer with calls."""
        raw = {
            tool.name: frozenset(
                name
                for name, schema in tool.schema["properties"].items()
                if isinstance(schema, Mapping) and _is_text(schema)
            )
            for tool in tools
        }
        return CallsReader(
            trigger=self.trigger,
            openings=[self.opening],
            after_name=self.after_name,
            betweens=[self.between],
            arguments=lambda name: TaggedArguments(self.tags, raw.get(name, frozenset())),
        )


def _is_text(schema: Mapping[str, Any]) -> bool:
    """Whether a value is written as it is, without quotes."""
    texts = schema.get("enum", ("text",))
    return (
        schema.get("type") == "string"
        and schema.keys() <= _OF_TEXT
        and all(isinstance(text, str) and text for text in texts)
    )


def _check(tool: Tool) -> None:
    unknown = sorted(tool.schema.keys() - _OF_ARGUMENTS)
    names = tool.schema["properties"]
    missing = [name for name in tool.schema.get("required", ()) if name not in names]
    strange = [name for name in names if not _NAME.fullmatch(name)]
    problem = ""
    if unknown:
        problem = f"{unknown[0]} stands beside their properties"
    elif missing:
        problem = f"{missing[0]!a:.80} is required and not among their properties"
    elif strange:
        problem = f"{strange[0]!a:.80} stands in no tag"
    if problem:
        raise bad_request(
            f"the parameters of {tool.name!a} cannot be enforced in this model's form of calls: "
            f"{problem}",
            "tools",
        )


QWEN_CODER = TaggedCalls(
    trigger="<tool_call>",
    opening="\n<function=",
    after_name=">\n",
    tags=ArgumentTags("<parameter=", ">\n", "\n</parameter>", "\n"),
    between="</function>\n</tool_call>\n<tool_call>\n<function=",
    closing="</function>\n</tool_call>",
)
SEED = TaggedCalls(
    trigger="<seed:tool_call>",
    opening="\n<function=",
    after_name=">\n",
    tags=ArgumentTags("<parameter=", ">", "</parameter>", "\n"),
    between="</function>\n</seed:tool_call>\n<seed:tool_call>\n<function=",
    closing="</function>\n</seed:tool_call>",
)
GLM = TaggedCalls(
    trigger="<tool_call>",
    opening="",
    after_name="\n",
    tags=ArgumentTags("<arg_key>", "</arg_key>\n<arg_value>", "</arg_value>", "\n"),
    between="</tool_call>\n<tool_call>",
    closing="</tool_call>",
)
GLM_COMPACT = TaggedCalls(
    trigger="<tool_call>",
    opening="",
    after_name="",
    tags=ArgumentTags("<arg_key>", "</arg_key><arg_value>", "</arg_value>", ""),
    between="</tool_call><tool_call>",
    closing="</tool_call>",
)
