"""What one row of a data set says, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Message: TypeAlias = "Mapping[str, object]"


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages; what the assistant says is learned.

    Args:
        messages: Each with a role and a content.
        tools: Functions that the assistant may call, as its chat template takes them.
    """

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, object], ...] | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A prompt and the text that is to follow it, which is learned."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class PlainText:
    """A text, learned from its first token to its last."""

    text: str


Record: TypeAlias = Conversation | Completion | PlainText


@dataclass(frozen=True, slots=True)
class Row:
    """A record and its place.

    Args:
        where: File and line, or data set and row.
        record: What it says.
    """

    where: str
    record: Record


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps a row from being learned.

    Args:
        where: File and line, or data set and row.
        what: The problem, as the end of a sentence about the row.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where} {self.what}"
