"""From a chat to what the engine runs, and to what reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from nanoaccel.errors import PromptTooLongError, SamplingError
from nanoaccel.runtime.engine.prompts import check_text
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.sampling.grammar import Grammar
from nanoaccel.server.api_error import bad_request
from nanoaccel.server.chat.families.form import ReplyForm, Wanted
from nanoaccel.server.chat.families.tools import Tool, checked_tools
from nanoaccel.server.chat.reading.reader import ReplyReader
from nanoaccel.server.chat.request import ChatRequest
from nanoaccel.server.generation.context_length import prompt_refusal
from nanoaccel.server.generation.generation import Work
from nanoaccel.server.generation.intake import read_in_thread, text_size

if TYPE_CHECKING:  # a model's forms are those of a chat
    from nanoaccel.server.models.model import Model


@dataclass(frozen=True, slots=True)
class PreparedChat:
    """A chat that is ready to run on a model.

    Args:
        work: For ``Generation.start``.
        n: Its completions.
        new_reader: Makes what reads one of them.
    """

    work: Work
    n: int
    new_reader: Callable[[], ReplyReader]

    @property
    def readers(self) -> list[ReplyReader]:
        """New readers, one for each completion."""
        return [self.new_reader() for _ in range(self.n)]


async def prepare(model: Model, request: ChatRequest, *, only_counts: bool = False) -> PreparedChat:
    """Make a chat ready for a model; the work is done in a thread.

    Args:
        model: Who continues it.
        request: What is asked.
        only_counts: Whether only its length is asked for, however long it is.

    Raises:
        ApiError: The tools cannot be used, or not with this model; or the chat is far too long.
        RequestError: The model has no chat template, or it refuses the messages.
        SamplingError: A grammar cannot be enforced.
        BundleError: The chat template cannot be parsed.
        MissingExtraError: llguidance is needed and not installed.
    """
    size = text_size([request.messages, request.tools])
    return await read_in_thread(size, _prepare, model, request, only_counts)


def _prepare(model: Model, request: ChatRequest, only_counts: bool) -> PreparedChat:
    tokenizer, form, shown = model.tokenizer, model.form, request.shown_tools
    tools = _tools(form, request)
    chat = replace(request.chat, tools=shown if shown else None)
    prompt = tokenizer.render_chat(request.messages, chat)
    if not only_counts:
        _check_length(model, prompt, request.params)
    ids = tokenizer.encode(prompt, add_special_tokens=False)
    wanted = Wanted(
        prompt=prompt,
        tools=tools,
        must_call=request.tool_choice.mode == "required",
        only=request.tool_choice.name,
        several=request.parallel_tool_calls,
        answer=request.params.grammar,
    )
    params = request.params
    if wanted.tools or params.grammar is not None:
        params = replace(params, grammar=_grammar(model, wanted))
    params = replace(params, kept_special_tokens=model.mark_ids)
    return PreparedChat(
        Work([ids], params, request.options), params.n, partial(form.reader, wanted)
    )


def _check_length(model: Model, prompt: str, params: SamplingParams) -> None:
    """Raises ApiError for a text that cannot fit, before it is encoded."""
    try:
        room = int(params.max_tokens != 0)
        check_text(model.tokenizer, prompt, model.client.context_length, room=room)
    except PromptTooLongError as error:
        raise prompt_refusal(error, params.max_tokens) from None


def _grammar(model: Model, wanted: Wanted) -> Grammar | None:
    try:
        return model.form.grammar(wanted, model.spelling)
    except SamplingError as error:
        if not wanted.tools:
            raise
        raise bad_request(f"tools cannot be enforced together: {error}", "tools") from error


def _tools(form: ReplyForm, request: ChatRequest) -> tuple[Tool, ...]:
    """The tools that may be called.

    Raises:
        ApiError: They cannot be used.
    """
    tools = checked_tools(request.shown_tools)
    choice = request.tool_choice
    if choice.mode == "required" and not tools:
        raise bad_request("tool_choice asks for a call, and there are no tools", "tool_choice")
    if choice.name is not None and choice.name not in [tool.name for tool in tools]:
        raise bad_request(
            f"tool_choice names {choice.name[:80]!a}, which is no tool", "tool_choice"
        )
    if tools and not form.can_call:
        raise bad_request(
            "the chat template of this model has no known form of calls, so tools cannot be used. "
            "Leave them out, send tool_choice='none', or start the server with --tool-parser",
            "tools",
        )
    return tools
