"""From fields that were read to completions that run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from nanoaccel.errors import QueueFullError
from nanoaccel.server.api_error import api_error
from nanoaccel.server.generation.generation import Generation, Work
from nanoaccel.server.http.call import Call
from nanoaccel.server.models.model import Model


@asynccontextmanager
async def model_for(call: Call) -> AsyncIterator[Model]:
    """The model that a call names, loaded, with the adapter that it names, if any.

    Without a name it is the first model.

    Raises:
        ApiError: There is no such model, or it cannot be loaded.
    """
    name: str | None = call.fields.typed("model", str, "")
    models = call.service.models
    entry, adapter = models.find_with_adapter(name if name else None)
    call.log["model"] = entry.name if adapter is None else f"{entry.name}:{adapter}"
    async with models.use(entry.name) as model:
        yield model.with_adapter(adapter)


@asynccontextmanager
async def generation_of(call: Call, model: Model, work: Work) -> AsyncIterator[Generation]:
    """The completions of a call, queued; leaving the block cancels what still runs.

    Raises:
        ApiError: The queue is full.
        NanoAccelError: As ``EngineClient.process``.
    """
    latencies = call.service.models.find(model.base).latencies
    work = replace(work, options=replace(work.options, adapter=model.adapter))
    try:
        generation = await Generation.start(
            model.client,
            work,
            partial(latencies.watch, call.arrived),
            backlog=call.service.config.limits.backlog,
            on_backlog=call.overrun.set,
        )
    except QueueFullError as error:
        seconds = call.service.retry_after(latencies)
        raise api_error(error, retry_after=seconds) from error
    call.log["prompt_tokens"] = generation.prompt_tokens
    async with generation:
        yield generation
