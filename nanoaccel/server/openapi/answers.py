"""What answers look like, as JSON schemas by name."""

from __future__ import annotations

from nanoaccel.server.openapi import anthropic, responses
from nanoaccel.server.openapi.kinds import (
    BOOL,
    OBJECT,
    OBJECT_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    WHOLE,
    WHOLE_OR_NULL,
    Schema,
    Schemas,
    list_of,
    record,
    ref,
)


def _envelope(kind: str, choice: Schema) -> dict[str, Schema]:
    return {
        "id": TEXT,
        "object": {"const": kind},
        "created": WHOLE,
        "model": TEXT,
        "choices": list_of(choice),
    }


def _choice(**content: Schema) -> Schema:
    reason = {"enum": ["stop", "length", "tool_calls", None]}
    return record(index=WHOLE, logprobs=OBJECT_OR_NULL, finish_reason=reason, **content)


def _maybe(schema: Schema, **properties: Schema) -> Schema:
    """An object that may have these too."""
    return {**schema, "properties": {**schema.get("properties", {}), **properties}}


_FUNCTION = record(name=TEXT, arguments=TEXT)
_CALL = record(id=TEXT, type={"const": "function"}, function=_FUNCTION)
_MESSAGE = _maybe(
    record(role={"const": "assistant"}, content=TEXT_OR_NULL),
    reasoning_content=TEXT,
    tool_calls=list_of(_CALL),
)
_CALL_PART = _maybe(
    record(index=WHOLE, function=_maybe(record(arguments=TEXT), name=TEXT)),
    id=TEXT,
    type={"const": "function"},
)
_DELTA = _maybe(
    OBJECT,
    role={"const": "assistant"},
    content=TEXT_OR_NULL,
    reasoning_content=TEXT,
    tool_calls=list_of(_CALL_PART),
)
_SCORES = {"type": ["array", "null"], "items": OBJECT_OR_NULL}
_PROGRESS: Schemas = {
    "queue": record(place=WHOLE, waiting=WHOLE),
    "prompt_progress": record(
        total=WHOLE, cache=WHOLE, processed=WHOLE, time_ms={"type": "number"}
    ),
}
_PIECE = record(id=WHOLE, piece={"type": ["string", "array"]})
_USAGE = {"usage": ref("Usage"), "timings": OBJECT}
_VECTOR = {"anyOf": [list_of({"type": "number"}), TEXT]}

SCHEMAS: Schemas = {
    "Error": record(error=record(message=TEXT, type=TEXT, param=TEXT_OR_NULL, code=TEXT_OR_NULL)),
    "Usage": record(prompt_tokens=WHOLE, completion_tokens=WHOLE, total_tokens=WHOLE),
    "Chat": record(**_envelope("chat.completion", _choice(message=_MESSAGE)), **_USAGE),
    "ChatPart": _maybe(
        record(**_envelope("chat.completion.chunk", _choice(delta=_DELTA))), **_PROGRESS
    ),
    "Completion": record(
        **_envelope("text_completion", _maybe(_choice(text=TEXT), prompt_logprobs=_SCORES)),
        **_USAGE,
    ),
    "CompletionPart": _maybe(
        record(**_envelope("text_completion", _choice(text=TEXT))), **_PROGRESS
    ),
    "Embeddings": record(
        object={"const": "list"},
        data=list_of(record(object={"const": "embedding"}, index=WHOLE, embedding=_VECTOR)),
        model=TEXT,
        usage=record(prompt_tokens=WHOLE, total_tokens=WHOLE),
    ),
    "Model": record(
        id=TEXT,
        object={"const": "model"},
        created=WHOLE,
        owned_by=TEXT,
        parent=TEXT_OR_NULL,
        loaded=BOOL,
        max_model_len=WHOLE_OR_NULL,
    ),
    "Adapter": record(object={"const": "adapter"}, id=TEXT, loaded=BOOL),
    "Models": record(object={"const": "list"}, data=list_of(ref("Model"))),
    "Engine": record(
        object={"const": "engine"},
        version=TEXT,
        machine=record(cpu=TEXT, architecture=TEXT, cores=WHOLE, allowed_cpus=WHOLE),
        models=list_of(record(id=TEXT, loaded=BOOL, engine=OBJECT_OR_NULL)),
    ),
    "Tokens": record(
        tokens=list_of({"anyOf": [WHOLE, _PIECE]}),
        count=WHOLE,
        max_model_len=WHOLE,
        token_strs={"type": ["array", "null"], "items": TEXT},
    ),
    "Text": record(prompt=TEXT, content=TEXT),
    "Prompt": record(prompt=TEXT),
    "TokenizerInfo": record(
        bos_token=TEXT_OR_NULL,
        eos_token=TEXT_OR_NULL,
        eos_token_ids=list_of(WHOLE),
        vocab_size=WHOLE,
        model_max_length=WHOLE,
        has_chat_template=BOOL,
    ),
    "Status": record(status=TEXT),
    **responses.ANSWERS,
    **anthropic.ANSWERS,
}
