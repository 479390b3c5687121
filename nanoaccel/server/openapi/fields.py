"""Fields of requests as JSON schemas, with the limits that the server has.

Each function gives fields that belong together, by name. ``null`` is the same as absence
everywhere; ``operations.py`` adds it.
"""

from __future__ import annotations

from typing import Any

from nanoaccel.registry import LOGITS_PROCESSORS
from nanoaccel.server.config import Limits
from nanoaccel.server.openai.messages import FIELD_CHARS, TEMPLATE_FIELDS
from nanoaccel.server.openai.sampling import MAX_LOGPROBS, MAX_PROCESSORS, REFUSED
from nanoaccel.server.openai.structured import plugged_grammars
from nanoaccel.server.openapi.kinds import Schema, Schemas

_TOKENS: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}}


def of(kind: str, description: str, **rules: Any) -> Schema:
    """The schema of a field.

    Args:
        kind: Its JSON type.
        description: What it does.
        rules: Other keywords.
    """
    return {"type": kind, "description": description, **rules}


def model() -> Schemas:
    """Which model answers."""
    return {
        "model": of(
            "string",
            "Name of the model, or MODEL:ADAPTER; left out or empty: the first one.",
        )
    }


def prompts(limit: int) -> Schema:
    """What a completion continues, or what becomes an embedding.

    Args:
        limit: Prompts at most.
    """
    text = {"type": "string", "minLength": 1}
    tokens = {**_TOKENS, "minItems": 1}
    several = {"anyOf": [{"type": "string"}, _TOKENS]}
    batch = {"type": "array", "items": several, "minItems": 1, "maxItems": limit}
    return {
        "description": "A text, token ids, or a list of these.",
        "anyOf": [text, tokens, batch],
    }


def sampling(limits: Limits) -> Schemas:
    """How tokens are chosen, and when a completion ends."""
    stop = {"type": "string", "minLength": 1, "maxLength": limits.stop_chars}
    whole = {"type": "integer"}
    return {
        "max_tokens": of(
            "integer", "Tokens to generate at most; 0 computes the prompt alone.", minimum=0
        ),
        "max_completion_tokens": of("integer", "The same; it wins.", minimum=0),
        "min_tokens": of("integer", "Tokens before which nothing ends.", minimum=0),
        "n": of("integer", "Completions of each prompt.", minimum=1, maximum=limits.n),
        "temperature": of("number", "0 is greedy.", minimum=0),
        "top_p": of("number", "Probability to keep.", exclusiveMinimum=0, maximum=1),
        "top_k": of("integer", "Likeliest tokens to keep; 0 keeps all.", minimum=0),
        "min_p": of("number", "Share of the likeliest's probability.", minimum=0, maximum=1),
        "repetition_penalty": of("number", "1 is off.", minimum=0.01, maximum=100),
        "presence_penalty": of("number", "0 is off.", minimum=-2, maximum=2),
        "frequency_penalty": of("number", "0 is off.", minimum=-2, maximum=2),
        "seed": of("integer", "The same seed gives the same text."),
        "stop": {
            "description": "Texts that end the completion.",
            "anyOf": [stop, {"type": "array", "items": stop, "maxItems": limits.stops}],
        },
        "stop_token_ids": of(
            "array", "Tokens that end it.", items={**whole, "minimum": 0}, maxItems=limits.stops
        ),
        "ignore_eos": of("boolean", "Whether to go on after the end."),
        "skip_special_tokens": of("boolean", "Whether texts leave out special tokens."),
        "logit_bias": of(
            "object",
            "Token ids, and what is added to their logits.",
            propertyNames={"pattern": "^[0-9]+$"},
            additionalProperties={"type": "number", "minimum": -1e9, "maximum": 1e9},
            maxProperties=limits.biases,
        ),
        "processors": of(
            "object",
            "Logits processors of plugins by name, each with its values.",
            properties={name: {"type": "object"} for name in LOGITS_PROCESSORS.names()},
            additionalProperties=False,
            maxProperties=MAX_PROCESSORS,
        ),
        **{name: {"type": "null", "description": "Not supported."} for name in REFUSED},
    }


def scheduling() -> Schemas:
    """How a request is treated."""
    return {
        "priority": of("integer", "Higher goes first."),
        "timeout": of("number", "Seconds until it ends with what there is.", exclusiveMinimum=0),
    }


def stream() -> Schemas:
    """How an answer comes."""
    return {"stream": of("boolean", "Whether the answer comes as events.")}


def streaming() -> Schemas:
    """How the answers of completions and chats come."""
    options = {"include_usage": {"type": ["boolean", "null"]}}
    return {
        **stream(),
        "stream_options": of("object", "Whether the last event tells usage.", properties=options),
        "return_progress": of(
            "boolean", "Whether a stream tells the place in the queue, and then the prompt's state."
        ),
    }


def structured() -> Schemas:
    """What an answer must look like; one of these, and not more."""
    schema = {"type": ["object", "string"]}
    lark = of("string", "A grammar in Lark's notation.")
    choices = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}
    outputs: dict[str, Schema] = {
        "json": schema,
        "regex": {"type": "string"},
        "choice": choices,
        "grammar": lark,
        **{name: {"description": "A plugin's."} for name in plugged_grammars()},
    }
    named = {"type": "object", "properties": {"schema": schema}, "required": ["schema"]}
    kinds = {
        "type": {"enum": ["text", "json_object", "json_schema", *plugged_grammars()]},
        "json_schema": named,
        "schema": {"description": "Of a json_object; also named value.", **schema},
    }
    only_with_schema = {
        "if": {"properties": {"type": {"const": "json_schema"}}, "required": ["type"]},
        "then": {"required": ["json_schema"]},
    }
    return {
        "response_format": of(
            "object", "text, json_object or json_schema.", properties=kinds, **only_with_schema
        ),
        "structured_outputs": of(
            "object",
            "One of json, regex, choice, grammar, and the kinds of plugins.",
            properties=outputs,
            additionalProperties=False,
            maxProperties=1,
        ),
        **{f"guided_{kind}": {"description": kind, **rule} for kind, rule in outputs.items()},
    }


def messages(limits: Limits) -> Schemas:
    """A chat, and what its template is told."""
    part = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    name = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    function = {"type": "object", "properties": {"function": name}, "required": ["function"]}
    content = {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": part}]}
    calls = {"anyOf": [{"type": "array", "items": function}, {"type": "null"}]}
    message = {
        "type": "object",
        "properties": {
            "role": {"type": "string"},
            "content": content,
            "reasoning_content": {"type": ["string", "null"]},
            "tool_calls": calls,
        },
        "required": ["role"],
    }
    told = {"type": ["string", "boolean", "number"], "maxLength": FIELD_CHARS}
    return {
        "messages": of("array", "The chat.", items=message, minItems=1, maxItems=limits.messages),
        "tools": of("array", "Functions to offer.", items=function, maxItems=limits.tools),
        "tool_choice": {
            "description": "Whether the model calls functions, or the one that it calls.",
            "anyOf": [{"enum": ["auto", "none", "required"]}, function],
        },
        "add_generation_prompt": of("boolean", "Whether the prompt begins the answer."),
        "continue_final_message": of("boolean", "Whether the last message is continued."),
        "reasoning_effort": {"description": "For the template.", **told},
        "chat_template_kwargs": of(
            "object",
            "Variables for the template.",
            properties=dict.fromkeys(TEMPLATE_FIELDS, told),
            additionalProperties=False,
        ),
    }


def parallel() -> Schemas:
    """Whether a reply may call several functions."""
    return {"parallel_tool_calls": of("boolean", "Whether a reply may call several functions.")}


def top_logprobs(description: str) -> Schema:
    """A number of likeliest tokens."""
    return of("integer", description, minimum=0, maximum=MAX_LOGPROBS)


def tokens(limit: int) -> Schemas:
    """Token ids."""
    return {"tokens": {**_TOKENS, "description": "Token ids.", "maxItems": limit}}
