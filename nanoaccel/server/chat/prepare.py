"""From a chat to what the engine runs, and to what reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from nanoaccel.server.chat.reader import PlainReader, ReplyReader
from nanoaccel.server.chat.request import ChatRequest
from nanoaccel.server.generation import Work
from nanoaccel.server.models.model import Model


@dataclass(frozen=True, slots=True)
class PreparedChat:
    """A chat that is ready to run on a model.

    Args:
        work: For ``Generation.start``.
        new_reader: Makes what reads one of its completions.
    """

    work: Work
    new_reader: Callable[[], ReplyReader]

    @property
    def readers(self) -> list[ReplyReader]:
        """New readers, one for each completion."""
        return [self.new_reader() for _ in range(self.work.params.n)]


async def prepare(model: Model, request: ChatRequest) -> PreparedChat:
    """Make a chat ready for a model; the work is done in a thread.

    Args:
        model: Who continues it.
        request: What is asked.

    Raises:
        RequestError: The model has no chat template, or it refuses the messages.
        BundleError: The chat template cannot be parsed.
    """
    return await asyncio.to_thread(_prepare, model, request)


def _prepare(model: Model, request: ChatRequest) -> PreparedChat:
    shown = request.shown_tools
    chat = replace(request.chat, tools=shown if shown else None)
    prompt = model.tokenizer.render_chat(request.messages, chat)
    ids = model.tokenizer.encode(prompt, add_special_tokens=False)
    return PreparedChat(Work([ids], request.params, request.options), PlainReader)
