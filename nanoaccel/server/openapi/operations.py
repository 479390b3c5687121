"""The table of the API: each method and path, with its fields and its answer.

A test holds it against the routes and against what their handlers read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nanoaccel.server.config import Limits
from nanoaccel.server.openapi import anthropic, fields, responses
from nanoaccel.server.openapi.fields import of
from nanoaccel.server.openapi.kinds import TEXT, Schema, Schemas, ref
from nanoaccel.server.tokens import MAX_IDS

Table = Mapping[tuple[str, str], "Operation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one method of one path takes and gives.

    Args:
        summary: What it does.
        answer: Schema of the answer.
        fields: Schemas of the fields of its body; none is an operation without a body.
        required: Fields that must be there.
        examples: Bodies that together have every field read.
        parameters: Schemas of query parameters.
        events: Schema of each event, where the answer can be streamed.
        media: Type of the answer.
        error: Name of the form of its errors.
        is_open: Whether it needs no key.
    """

    summary: str
    answer: Schema
    fields: Schemas = field(default_factory=dict)
    required: tuple[str, ...] = ()
    examples: tuple[Mapping[str, Any], ...] = ()
    parameters: Schemas = field(default_factory=dict)
    events: Schema | None = None
    media: str = "application/json"
    error: str = "Error"
    is_open: bool = False


def operations(limits: Limits) -> Table:
    """All of them, by method and path; those under /v1 work without it too.

    Args:
        limits: Of the server.
    """
    return {
        **_operators(),
        **_models(),
        **_adapters(),
        **_generating(limits),
        **_responses(limits),
        **_messages(limits),
        **_embeddings(limits),
        **_tokens(limits),
    }


def _operators() -> Table:
    status, text = ref("Status"), "text/plain; version=0.0.4; charset=utf-8"
    document: Schema = {"type": "object"}
    return {
        ("GET", "/health"): Operation(summary="Does it live?", answer=status, is_open=True),
        ("GET", "/ready"): Operation(summary="Does it take work?", answer=status, is_open=True),
        ("GET", "/metrics"): Operation(summary="For Prometheus.", answer=TEXT, media=text),
        ("GET", "/openapi.json"): Operation(
            summary="This description.", answer=document, is_open=True
        ),
    }


def _models() -> Table:
    return {
        ("GET", "/v1/models"): Operation(summary="List models.", answer=ref("Models")),
        ("GET", "/v1/models/{model}"): Operation(summary="Show one.", answer=ref("Model")),
        ("GET", "/v1/engine"): Operation(
            summary="The machine, and what runs on it.", answer=ref("Engine")
        ),
    }


def _adapters() -> Table:
    name = {**fields.model(), "lora_name": of("string", "Name of the adapter.", minLength=1)}
    folder = of("string", "Its folder, on the server's machine.", minLength=1)
    return {
        ("POST", "/v1/load_lora_adapter"): Operation(
            summary="Let requests have an adapter; needs --load-adapters.",
            fields={**name, "lora_path": folder},
            required=("lora_name", "lora_path"),
            examples=({"lora_name": "sql", "lora_path": "adapter"},),
            answer=ref("Adapter"),
        ),
        ("POST", "/v1/unload_lora_adapter"): Operation(
            summary="Refuse further requests for an adapter; needs --load-adapters.",
            fields=name,
            required=("lora_name",),
            examples=({"lora_name": "sql"},),
            answer=ref("Adapter"),
        ),
    }


def _generating(limits: Limits) -> Table:
    common = {**fields.model(), **fields.sampling(limits), **fields.scheduling()}
    common |= {**fields.streaming(), **fields.structured()}
    chat = {
        **common,
        **fields.messages(limits),
        **fields.parallel(),
        "logprobs": of("boolean", "Whether choices tell log-probabilities."),
        "top_logprobs": fields.top_logprobs("Likeliest tokens to tell of; needs logprobs."),
    }
    completion = {
        **common,
        "prompt": fields.prompts(limits.prompts),
        "echo": of("boolean", "Whether answers begin with the prompt; with logprobs, scored."),
        "logprobs": fields.top_logprobs("Likeliest tokens to tell of."),
        "prompt_logprobs": fields.top_logprobs(
            "Likeliest tokens to tell of at each of the prompt; not with stream."
        ),
    }
    hello = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
    return {
        ("POST", "/v1/chat/completions"): Operation(
            summary="Continue a chat.",
            fields=chat,
            required=("messages",),
            examples=(hello,),
            answer=ref("Chat"),
            events=ref("ChatPart"),
        ),
        ("POST", "/v1/completions"): Operation(
            summary="Continue prompts as they are.",
            fields=completion,
            required=("prompt",),
            examples=(
                {"prompt": "once upon a time", "max_tokens": 8},
                {"prompt": "once upon a time", "echo": True, "logprobs": 1, "max_tokens": 0},
                {"prompt": "once", "prompt_logprobs": 1, "max_tokens": 1},
            ),
            answer=ref("Completion"),
            events=ref("CompletionPart"),
        ),
    }


def _responses(limits: Limits) -> Table:
    return {
        ("POST", "/v1/responses"): Operation(
            summary="Answer an input.",
            fields=responses.fields(limits),
            required=("input",),
            examples=({"input": "hello", "max_output_tokens": 8},),
            answer=ref("Response"),
            events=ref("ResponseEvent"),
        ),
        ("POST", "/v1/responses/input_tokens"): Operation(
            summary="Count the tokens of an input.",
            fields=responses.count_fields(limits),
            required=("input",),
            examples=({"input": "hello"},),
            answer=ref("ResponseTokens"),
        ),
    }


def _messages(limits: Limits) -> Table:
    hello = {"messages": [{"role": "user", "content": "hello"}]}
    return {
        ("POST", "/v1/messages"): Operation(
            summary="Continue a conversation, as in Anthropic's API.",
            fields=anthropic.fields(limits),
            required=("messages", "max_tokens"),
            examples=({**hello, "max_tokens": 8},),
            answer=ref("Message"),
            events=ref("MessageEvent"),
            error="AnthropicError",
        ),
        ("POST", "/v1/messages/count_tokens"): Operation(
            summary="Count the tokens of a conversation.",
            fields=anthropic.count_fields(limits),
            required=("messages",),
            examples=(hello,),
            answer=ref("MessageTokens"),
            error="AnthropicError",
        ),
    }


def _embeddings(limits: Limits) -> Table:
    taken: Schemas = {
        **fields.model(),
        **fields.scheduling(),
        "input": fields.prompts(limits.inputs),
        "encoding_format": of("string", "How vectors are written.", enum=["float", "base64"]),
        "pooling": of("string", "The last token's state, or the mean.", enum=["last", "mean"]),
        "dimensions": of("integer", "Numbers to keep, from the first.", minimum=1),
    }
    return {
        ("POST", "/v1/embeddings"): Operation(
            summary="Make a vector of each input.",
            fields=taken,
            required=("input",),
            examples=({"input": ["hello", "you"]}, {"input": "hello", "encoding_format": "base64"}),
            answer=ref("Embeddings"),
        ),
    }


def _tokens(limits: Limits) -> Table:
    chat = {**fields.model(), **fields.messages(limits)}
    hello = {"messages": [{"role": "user", "content": "hello"}]}
    text = {
        "prompt": of("string", "The text."),
        "content": of("string", "The same, as llama.cpp calls it."),
        "add_special_tokens": of("boolean", "Whether to add BOS and the like."),
        "add_special": of("boolean", "The same, as llama.cpp calls it."),
        "return_token_strs": of("boolean", "Whether to tell the text of each token."),
        "with_pieces": of("boolean", "Whether tokens are objects with id and piece."),
    }
    return {
        ("POST", "/tokenize"): Operation(
            summary="Text or a chat to token ids.",
            fields={**chat, **text},
            examples=({"prompt": "hello"}, hello, {"prompt": "hello", "with_pieces": True}),
            answer=ref("Tokens"),
        ),
        ("POST", "/detokenize"): Operation(
            summary="Token ids to text.",
            fields={**fields.model(), **fields.tokens(MAX_IDS)},
            examples=({"tokens": [1, 2]},),
            answer=ref("Text"),
        ),
        ("POST", "/apply-template"): Operation(
            summary="The text that a chat becomes.",
            fields=chat,
            required=("messages",),
            examples=(hello,),
            answer=ref("Prompt"),
        ),
        ("GET", "/tokenizer_info"): Operation(
            summary="Special tokens and sizes.",
            answer=ref("TokenizerInfo"),
            parameters=fields.model(),
        ),
    }
