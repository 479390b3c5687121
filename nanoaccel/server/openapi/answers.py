"""What answers look like, as JSON schemas by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanoaccel.server.openapi.fields import Schema, Schemas

TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_BOOL: Schema = {"type": "boolean"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_WHOLE_OR_NULL: Schema = {"type": ["integer", "null"]}
_OBJECT_OR_NULL: Schema = {"type": ["object", "null"]}


def ref(name: str) -> Schema:
    """A reference to one of ``SCHEMAS``."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Schema) -> Schema:
    """An object that has all of these, and maybe more."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _envelope(kind: str, choice: Schema) -> dict[str, Schema]:
    return {
        "id": TEXT,
        "object": {"const": kind},
        "created": _WHOLE,
        "model": TEXT,
        "choices": _list(choice),
    }


def _choice(**content: Schema) -> Schema:
    reason = {"enum": ["stop", "length", "tool_calls", None]}
    return _object(index=_WHOLE, logprobs=_OBJECT_OR_NULL, finish_reason=reason, **content)


_MESSAGE = _object(role={"const": "assistant"}, content=_TEXT_OR_NULL)
_DELTA: Mapping[str, Any] = {"type": "object", "properties": {"content": _TEXT_OR_NULL}}
_PIECE = _object(id=_WHOLE, piece={"type": ["string", "array"]})
_USAGE = {"usage": ref("Usage"), "timings": {"type": "object"}}

SCHEMAS: Schemas = {
    "Error": _object(
        error=_object(message=TEXT, type=TEXT, param=_TEXT_OR_NULL, code=_TEXT_OR_NULL)
    ),
    "Usage": _object(prompt_tokens=_WHOLE, completion_tokens=_WHOLE, total_tokens=_WHOLE),
    "Chat": _object(**_envelope("chat.completion", _choice(message=_MESSAGE)), **_USAGE),
    "ChatPart": _object(**_envelope("chat.completion.chunk", _choice(delta=_DELTA))),
    "Completion": _object(**_envelope("text_completion", _choice(text=TEXT)), **_USAGE),
    "CompletionPart": _object(**_envelope("text_completion", _choice(text=TEXT))),
    "Model": _object(
        id=TEXT,
        object={"const": "model"},
        created=_WHOLE,
        owned_by=TEXT,
        loaded=_BOOL,
        max_model_len=_WHOLE_OR_NULL,
    ),
    "Models": _object(object={"const": "list"}, data=_list(ref("Model"))),
    "Tokens": _object(
        tokens=_list({"anyOf": [_WHOLE, _PIECE]}),
        count=_WHOLE,
        max_model_len=_WHOLE,
        token_strs={"type": ["array", "null"], "items": TEXT},
    ),
    "Text": _object(prompt=TEXT, content=TEXT),
    "Prompt": _object(prompt=TEXT),
    "TokenizerInfo": _object(
        bos_token=_TEXT_OR_NULL,
        eos_token=_TEXT_OR_NULL,
        eos_token_ids=_list(_WHOLE),
        vocab_size=_WHOLE,
        model_max_length=_WHOLE,
        has_chat_template=_BOOL,
    ),
    "Status": _object(status=TEXT),
}
