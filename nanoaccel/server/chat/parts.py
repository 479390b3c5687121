"""What a model's text turns out to be, piece by piece, and the whole of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of what the model thinks.

    Args:
        text: The piece, not empty.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """A piece of what the model answers.

    Args:
        text: The piece, not empty.
    """

    text: str


@dataclass(frozen=True, slots=True)
class CallBegin:
    """The model calls a function.

    Args:
        place: Number of the call in this reply, from 0.
        id: What its result is sent back under.
        name: The function.
    """

    place: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """A piece of a call's arguments; all pieces joined are a JSON object.

    Args:
        place: Number of the call.
        text: The piece, not empty.
    """

    place: int
    text: str


@dataclass(frozen=True, slots=True)
class End:
    """The last part of a reply.

    Args:
        finish_reason: "stop", "length", or "tool_calls" where the model has called something.
    """

    finish_reason: str


Part: TypeAlias = Reasoning | Content | CallBegin | CallArguments | End


@dataclass(slots=True)
class ToolCall:
    """A whole call.

    Args:
        id: What its result is sent back under.
        name: The function.
        arguments: A JSON object as text; cut short where the reply is.
    """

    id: str
    name: str
    arguments: str = ""


@dataclass(slots=True)
class Reply:
    """The parts of a reply, put together.

    Args:
        reasoning: What the model thought; empty if nothing.
        content: What it answered.
        calls: What it called.
        finish_reason: Why it ended; empty before.

    Examples:
        >>> from nanoaccel.server.chat import Content, End, Reply
        >>> Reply.of([Content("He"), Content("llo"), End("stop")]).content
        'Hello'
    """

    reasoning: str = ""
    content: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    finish_reason: str = ""

    @classmethod
    def of(cls, parts: Iterable[Part]) -> Reply:
        """Put parts together."""
        reply = cls()
        for part in parts:
            reply.add(part)
        return reply

    def add(self, part: Part) -> None:
        """Take the next part."""
        if isinstance(part, Reasoning):
            self.reasoning += part.text
        elif isinstance(part, Content):
            self.content += part.text
        elif isinstance(part, CallBegin):
            self.calls.append(ToolCall(part.id, part.name))
        elif isinstance(part, CallArguments):
            self.calls[part.place].arguments += part.text
        else:
            self.finish_reason = part.finish_reason
