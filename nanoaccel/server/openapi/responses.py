"""OpenAI's responses: the fields of their requests, and what their answers look like."""

from __future__ import annotations

from nanoaccel.server.config import Limits
from nanoaccel.server.openapi import fields as common
from nanoaccel.server.openapi.fields import of
from nanoaccel.server.openapi.kinds import (
    OBJECT,
    OBJECT_OR_NULL,
    TEXT,
    WHOLE,
    Schema,
    Schemas,
    record,
)
from nanoaccel.server.responses.items import ROLES, TEXTS
from nanoaccel.server.responses.request import EFFORTS, INCLUDES, STATEFUL
from nanoaccel.server.responses.response import METADATA

_STATUSES = ["in_progress", "completed", "incomplete", "failed"]


def fields(limits: Limits) -> Schemas:
    """All fields of a request.

    Args:
        limits: Of the server.
    """
    metadata = of(
        "object", "Comes back.", additionalProperties={"type": "string"}, maxProperties=METADATA
    )
    return {**count_fields(limits), **common.stream(), "metadata": metadata}


def count_fields(limits: Limits) -> Schemas:
    """Those that also a request to count tokens has."""
    unkept = "Needs a server that keeps responses."
    return {
        **common.model(),
        **common.sampling(limits),
        **common.scheduling(),
        **common.parallel(),
        "n": {"description": "A response is one.", "const": 1},
        "input": {"description": "A text, or items.", "anyOf": [TEXT, _items(limits)]},
        "instructions": of("string", "The system prompt."),
        "max_output_tokens": of("integer", "Tokens to generate at most.", minimum=0),
        "tools": of("array", "Functions to offer.", items=_TOOL, maxItems=limits.tools),
        "tool_choice": {
            "description": "Whether the model calls functions, or the one that it calls.",
            "anyOf": [{"enum": ["auto", "none", "required"]}, _TOOL],
        },
        "text": of("object", "The form of the answer.", properties={"format": _FORMAT}),
        "reasoning": of(
            "object", "How much to think.", properties={"effort": {"enum": [*EFFORTS, None]}}
        ),
        "include": of(
            "array", "What else to tell.", items={"enum": [*INCLUDES]}, maxItems=len(INCLUDES)
        ),
        "top_logprobs": common.top_logprobs("Likeliest tokens to tell of; see include."),
        "truncation": of("string", "Nothing is cut off.", const="disabled"),
        "store": of("boolean", "Nothing is kept, whatever it says."),
        "background": of("boolean", unkept, const=False),
        **{name: {"type": "null", "description": unkept} for name in STATEFUL},
    }


def _items(limits: Limits) -> Schema:
    kinds = [_MESSAGE, _CALL, _OUTPUT, _REASONING]
    return {"type": "array", "items": {"anyOf": kinds}, "minItems": 1, "maxItems": limits.messages}


_PART: Schema = {
    "type": "object",
    "properties": {
        "type": {"enum": [*TEXTS, "refusal"]},
        "text": TEXT,
        "refusal": TEXT,
    },
    "required": ["type"],
}
_TEXT: Schema = {"anyOf": [TEXT, {"type": "array", "items": _PART}]}
_MESSAGE: Schema = {
    "type": "object",
    "properties": {"type": {"const": "message"}, "role": {"enum": [*ROLES]}, "content": _TEXT},
    "required": ["role", "content"],
}
_CALL = record(type={"const": "function_call"}, call_id=TEXT, name=TEXT, arguments=TEXT)
_OUTPUT = record(type={"const": "function_call_output"}, call_id=TEXT, output=_TEXT)
_REASONING: Schema = {
    "type": "object",
    "properties": {
        "type": {"const": "reasoning"},
        "summary": _TEXT,
        "content": {"anyOf": [_TEXT, {"type": "null"}]},
    },
    "required": ["type"],
}
_TOOL = record(type={"const": "function"}, name=TEXT)
_FORMAT: Schema = {
    "type": ["object", "null"],
    "properties": {"type": {"enum": ["text", "json_object", "json_schema"]}, "schema": OBJECT},
    "if": {"properties": {"type": {"const": "json_schema"}}, "required": ["type"]},
    "then": {"required": ["schema"]},
}

ANSWERS: Schemas = {
    "Response": record(
        id=TEXT,
        object={"const": "response"},
        created_at=WHOLE,
        model=TEXT,
        status={"enum": _STATUSES},
        output={
            "type": "array",
            "items": record(
                id=TEXT,
                type={"enum": ["message", "reasoning", "function_call"]},
                status={"enum": ["in_progress", "completed", "incomplete"]},
            ),
        },
        usage=OBJECT_OR_NULL,
        error=OBJECT_OR_NULL,
        incomplete_details=OBJECT_OR_NULL,
    ),
    "ResponseEvent": record(
        type={"type": "string", "pattern": "^(response\\.|error$)"}, sequence_number=WHOLE
    ),
    "ResponseTokens": record(object={"const": "response.input_tokens"}, input_tokens=WHOLE),
}
