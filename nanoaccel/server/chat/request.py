"""A chat that a client asks to continue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.text import ChatOptions


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model calls tools.

    Args:
        mode: "auto" leaves it to the model, "required" makes it call at least one, "none" shows it
            no tools.
        name: The only function that it may call; None for any.
    """

    mode: Literal["auto", "required", "none"] = "auto"
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What is asked of a model.

    Args:
        messages: As chat templates take them: content as text, arguments of calls as objects.
        params: How to sample. A grammar is that of the answer: thinking and calls stand outside.
        chat: How messages become a prompt, apart from the tools.
        options: How to treat it, without ``chat``.
        tools: Functions in OpenAI's form: ``{"type": "function", "function": {"name": ...}}``.
        tool_choice: Whether to call them.
        parallel_tool_calls: Whether a reply may call several.
    """

    messages: Sequence[Mapping[str, Any]]
    params: SamplingParams
    chat: ChatOptions = field(default_factory=ChatOptions)
    options: RequestOptions = field(default_factory=RequestOptions)
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    parallel_tool_calls: bool = True

    @property
    def shown_tools(self) -> Sequence[Mapping[str, Any]]:
        """The tools that the model sees."""
        return () if self.tool_choice.mode == "none" else [completed(tool) for tool in self.tools]


def completed(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool with all that chat templates may ask for."""
    parameters = {"type": "object", "properties": {}}
    told = {name: value for name, value in tool["function"].items() if value is not None}
    return {
        **tool,
        "type": "function",
        "function": {"description": "", "parameters": parameters, **told},
    }
