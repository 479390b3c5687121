"""``/v1/embeddings``."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from nanoaccel.runtime.types.plan import Float32Array
from nanoaccel.runtime.types.pooling import Pooling
from nanoaccel.server.api_error import ApiError, bad_request
from nanoaccel.server.generation.generation import Generation, Work
from nanoaccel.server.http.call import Call
from nanoaccel.server.http.fields import Fields, shown
from nanoaccel.server.openai.answers import finish_reason
from nanoaccel.server.openai.prompts import read_prompts
from nanoaccel.server.openai.running import generation_of, model_for
from nanoaccel.server.openai.sampling import read_options

# Inputs of a request that are queued at once, so that many leave room for others.
_TOGETHER = 32
_FORMATS = ("float", "base64")


async def embeddings(call: Call) -> None:
    """Make a vector of each input."""
    fields = call.fields
    inputs = read_prompts(fields, "input", call.service.config.limits.inputs)
    encoding = fields.typed("encoding_format", str, "float")
    if encoding not in _FORMATS:
        raise bad_request(
            f"encoding_format is {shown(encoding)}. It must be float or base64", "encoding_format"
        )
    pooling, options = _read_pooling(fields), read_options(fields)
    vectors: list[Float32Array] = []
    tokens = 0
    async with model_for(call) as model:
        for begin in range(0, len(inputs), _TOGETHER):
            work = Work(inputs[begin : begin + _TOGETHER], pooling, options)
            async with generation_of(call, model, work) as generation:
                vectors += await _vectors(generation)
                tokens += generation.prompt_tokens
    call.log["prompt_tokens"] = tokens
    await call.reply(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": _written(vector, encoding)}
                for index, vector in enumerate(vectors)
            ],
            "model": model.name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _read_pooling(fields: Fields) -> Pooling:
    kind: Any = fields.typed("pooling", str, "last")  # Pooling refuses others
    return Pooling(kind=kind, dimensions=fields.raw("dimensions"))


async def _vectors(generation: Generation) -> Sequence[Float32Array]:
    """The embeddings of some inputs, in order."""
    found: dict[int, Float32Array] = {}
    while batch := await generation.next():
        for chunk in batch:
            finish_reason(chunk)
            if chunk.embedding is None:
                raise ApiError(408, "the time was up before an input was computed", "timeout")
            found[chunk.index] = chunk.embedding
    return [found[index] for index in sorted(found)]


def _written(vector: Float32Array, encoding: str) -> str | list[float]:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.tolist()
    return numbers
