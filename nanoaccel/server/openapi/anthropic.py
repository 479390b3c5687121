"""Anthropic's messages: the fields of their requests, and what their answers look like."""

from __future__ import annotations

from nanoaccel.server.anthropic.conversation import CHOICES
from nanoaccel.server.anthropic.request import EFFORTS, SAMPLING, THINKING
from nanoaccel.server.config import Limits
from nanoaccel.server.openapi import fields as common
from nanoaccel.server.openapi.fields import of
from nanoaccel.server.openapi.kinds import (
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    WHOLE,
    Schema,
    Schemas,
    record,
)

_EVENTS = [
    "message_start", "content_block_start", "content_block_delta", "content_block_stop",
    "message_delta", "message_stop", "ping", "error",
]  # fmt: skip
_STOPS = ["end_turn", "max_tokens", "stop_sequence", "tool_use"]


def fields(limits: Limits) -> Schemas:
    """All fields of a request.

    Args:
        limits: Of the server.
    """
    return {**count_fields(limits), **common.stream()}


def count_fields(limits: Limits) -> Schemas:
    """Those that also a request to count tokens has."""
    sampling = common.sampling(limits)
    stop = {"type": "string", "minLength": 1, "maxLength": limits.stop_chars}
    choice = {
        "type": {"enum": [*CHOICES, None]},
        "name": TEXT_OR_NULL,
        "disable_parallel_tool_use": {"type": ["boolean", "null"]},
    }
    thinking = {
        "type": {"enum": [*THINKING, None]},
        "budget_tokens": {"type": ["integer", "null"], "minimum": 1, "maximum": 1 << 20},
    }
    return {
        **common.model(),
        **{name: sampling[name] for name in ("max_tokens", *SAMPLING)},
        **common.scheduling(),
        "messages": of(
            "array", "The conversation.", items=_MESSAGE, minItems=1, maxItems=limits.messages
        ),
        "system": {"description": "The system prompt.", **_TEXT},
        "stop_sequences": of(
            "array", "Texts that end the message.", items=stop, maxItems=limits.stops
        ),
        "tools": of("array", "Tools to offer.", items=_TOOL, maxItems=limits.tools),
        "tool_choice": of(
            "object", "Whether the model calls tools, or the one that it calls.", properties=choice
        ),
        "thinking": of("object", "Whether to think.", properties=thinking),
        "output_config": of(
            "object",
            "How much to think, and the form of the answer.",
            properties={"effort": {"enum": [*EFFORTS, None]}, "format": _FORMAT},
        ),
    }


_TEXT_BLOCK = record(type={"const": "text"}, text=TEXT)
_TEXT: Schema = {"anyOf": [TEXT, {"type": "array", "items": _TEXT_BLOCK}]}
_TOOL_USE = record(type={"const": "tool_use"}, id=TEXT, name=TEXT, input=OBJECT)
_THINKING = record(type={"const": "thinking"}, thinking=TEXT)
_HIDDEN = record(type={"const": "redacted_thinking"})
_RESULT: Schema = {
    "type": "object",
    "properties": {
        "type": {"const": "tool_result"},
        "tool_use_id": TEXT,
        "content": {"anyOf": [_TEXT, {"type": "null"}]},
    },
    "required": ["type", "tool_use_id"],
}


def _said_by(role: str, *blocks: Schema) -> Schema:
    content = {"anyOf": [TEXT, {"type": "array", "items": {"anyOf": [*blocks]}}]}
    return record(role={"const": role}, content=content)


_MESSAGE: Schema = {
    "anyOf": [
        _said_by("user", _TEXT_BLOCK, _RESULT),
        _said_by("assistant", _TEXT_BLOCK, _TOOL_USE, _THINKING, _HIDDEN),
    ]
}
_TOOL: Schema = {
    "type": "object",
    "properties": {"type": {"enum": ["custom", None]}, "name": TEXT, "input_schema": OBJECT},
    "required": ["name", "input_schema"],
}
_FORMAT: Schema = {
    "type": ["object", "null"],
    "properties": {"type": {"const": "json_schema"}, "schema": OBJECT},
}

ANSWERS: Schemas = {
    "AnthropicError": record(type={"const": "error"}, error=record(type=TEXT, message=TEXT)),
    "Message": record(
        id=TEXT,
        type={"const": "message"},
        role={"const": "assistant"},
        model=TEXT,
        content={
            "type": "array",
            "items": record(type={"enum": ["text", "thinking", "tool_use"]}),
        },
        stop_reason={"enum": _STOPS},
        stop_sequence=TEXT_OR_NULL,
        usage=record(input_tokens=WHOLE, cache_read_input_tokens=WHOLE, output_tokens=WHOLE),
    ),
    "MessageEvent": record(type={"enum": _EVENTS}),
    "MessageTokens": record(input_tokens=WHOLE),
}
