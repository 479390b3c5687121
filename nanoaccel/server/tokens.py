"""``/tokenize``, ``/detokenize``, ``/apply-template`` and ``/tokenizer_info``.

The fields are those of vLLM and of llama.cpp's server: ``prompt`` is also ``content``.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nanoaccel.server.api_error import ApiError, bad_request
from nanoaccel.server.chat.request import completed
from nanoaccel.server.generation.intake import read_in_thread, text_size
from nanoaccel.server.http.call import Call
from nanoaccel.server.models.model import Model
from nanoaccel.server.openai.messages import read_chat_options, read_messages
from nanoaccel.server.openai.running import model_for
from nanoaccel.server.openai.tools import read_tool_choice, read_tools
from nanoaccel.server.service import Service
from nanoaccel.text import ChatOptions

MAX_IDS = 1 << 20


async def tokenize(call: Call) -> None:
    """The token ids of a text, or of a chat."""
    fields = call.fields
    with_texts = fields.typed("return_token_strs", bool, False)
    with_pieces = fields.typed("with_pieces", bool, False)
    async with model_for(call) as model:
        ids = await _ids(call, model)
        answer: dict[str, Any] = {
            "tokens": _pieces(model, ids) if with_pieces else ids,
            "count": len(ids),
            "max_model_len": model.client.context_length,
            "token_strs": [model.token_texts.text(token) for token in ids] if with_texts else None,
        }
    await call.reply(answer)


def _pieces(model: Model, ids: list[int]) -> list[dict[str, Any]]:
    """Tokens as llama.cpp's server tells them; a part of a character as a list of bytes."""
    texts = model.token_texts
    pieces = []
    for token in ids:
        raw = texts.utf8(token)
        try:
            pieces.append({"id": token, "piece": raw.decode("utf-8")})
        except UnicodeDecodeError:
            pieces.append({"id": token, "piece": list(raw)})
    return pieces


async def _ids(call: Call, model: Model) -> list[int]:
    fields, tokenizer = call.fields, model.tokenizer
    if fields.raw("messages") is not None:
        messages, options = _chat(call)
        size = text_size([messages, options.tools])
        return await read_in_thread(size, tokenizer.encode_chat, messages, options=options)
    text = fields.typed("prompt", str, fields.typed("content", str, ""))
    special = fields.typed("add_special_tokens", bool, fields.typed("add_special", bool, True))
    return await read_in_thread(len(text), tokenizer.encode, text, special)


async def detokenize(call: Call) -> None:
    """The text of token ids."""
    ids = call.fields.listed("tokens", MAX_IDS)
    async with model_for(call) as model:
        end = model.client.info.vocab_size
        for token in ids:
            if not isinstance(token, int) or isinstance(token, bool) or not 0 <= token < end:
                raise bad_request(
                    f"tokens holds {token!a:.80}, no id from 0 to {end - 1}", "tokens"
                )
        text = await asyncio.to_thread(model.tokenizer.decode, ids, False)
    await call.reply({"prompt": text, "content": text})


async def apply_template(call: Call) -> None:
    """The text that a chat becomes."""
    messages, options = _chat(call)
    async with model_for(call) as model:
        text = await asyncio.to_thread(model.tokenizer.render_chat, messages, options)
    await call.reply({"prompt": text})


def _chat(call: Call) -> tuple[list[dict[str, Any]], ChatOptions]:
    fields, limits = call.fields, call.service.config.limits
    tools = [completed(tool) for tool in read_tools(fields, limits)]
    if read_tool_choice(fields).mode == "none":
        tools = []
    options = replace(read_chat_options(fields), tools=tools if tools else None)
    return read_messages(fields, limits), options


class TokenizerInfo:
    """Tells the special tokens of a model, ``?model=`` or the first.

    Args:
        service: Has the models.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def show(self, request: Request) -> Response:
        """What clients need who count tokens by ``/tokenize``."""
        try:
            async with self._service.models.use(request.query_params.get("model")) as model:
                tokenizer = model.tokenizer
                return JSONResponse(
                    {
                        "bos_token": _named(tokenizer.bos_token),
                        "eos_token": _named(tokenizer.eos_token),
                        "bos_token_id": tokenizer.bos_token_id,
                        "eos_token_ids": sorted(tokenizer.eos_token_ids),
                        "pad_token": None,
                        "vocab_size": model.client.info.vocab_size,
                        "model_max_length": model.client.context_length,
                        "has_chat_template": tokenizer.has_chat_template,
                    }
                )
        except ApiError as error:
            return JSONResponse(error.body(), error.status, dict(error.headers))


def _named(token: str) -> str | None:
    """A special token; None where the model has none."""
    return token if token else None
