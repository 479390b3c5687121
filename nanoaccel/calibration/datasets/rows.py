"""Rows of a table become documents: plain text, or a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from nanoaccel.errors import ConfigError, SourceError
from nanoaccel.registry import did_you_mean

_MESSAGES = "messages"
_PROMPT = "prompt"
_ANSWERS = ("response", "completion")
_TEXT = "text"
_KNOWN = f"{_MESSAGES}, {_PROMPT} with {' or '.join(_ANSWERS)}, or {_TEXT}"

Message = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Document:
    """One text, whole.

    Args:
        text: What is read when there are no messages, or no chat template takes them.
        messages: A conversation, each message with a role and content; empty for plain text.
    """

    text: str
    messages: tuple[Message, ...] = ()


def choose_columns(found: Iterable[str], column: str | None, where: str) -> tuple[str, ...]:
    """Which columns to read.

    Args:
        found: The columns that are there.
        column: The one asked for; None takes what is known by its name.
        where: The file or data set, for messages.

    Raises:
        ConfigError: The column is not there, or none is known.
    """
    names = list(found)
    if column is not None:
        if column in names:
            return (column,)
        raise ConfigError(
            f"{where} has no column {column!r}, only {_listed(names)}", did_you_mean(column, names)
        )
    if _MESSAGES in names:
        return (_MESSAGES,)
    answers = [name for name in _ANSWERS if name in names]
    if _PROMPT in names and answers:
        return (_PROMPT, answers[0])
    if _TEXT in names:
        return (_TEXT,)
    raise ConfigError(
        f"{where} has neither {_KNOWN}, only {_listed(names)}", "Name its column of text"
    )


def read_row(row: Mapping[str, object], columns: tuple[str, ...], where: str) -> Iterator[Document]:
    """The document of a row; none when it is null or blank.

    Args:
        row: Column to value.
        columns: What `choose_columns` chose.
        where: File and line, for messages.

    Raises:
        SourceError: A value is neither text nor a list of messages.
    """
    values = [row[name] for name in columns]
    if any(value is None for value in values):
        return
    if len(values) == 1 and isinstance(values[0], str):
        document = Document(_apart(values[0]))
    else:
        document = _conversation(values, [f"{where}, {name}" for name in columns])
    if document.text.strip():
        yield document


def _conversation(values: list[object], labels: list[str]) -> Document:
    """A list of messages, or a prompt and its answer, each of them text or messages."""
    messages: list[Message] = []
    for value, role, where in zip(values, ("user", "assistant"), labels, strict=False):
        messages.extend(_messages(value, role, where))
    texts = [value for value in values if isinstance(value, str)]
    plain = "".join(texts) if len(texts) == len(values) else _lines(messages)
    return Document(_apart(plain), tuple(messages))


def _messages(value: object, role: str, where: str) -> list[Message]:
    """A text is one message of the role; a list is a conversation already."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if not isinstance(value, list):
        raise SourceError(
            f"{where} is of type {type(value).__name__}", "It must be text or a list of messages"
        )
    return [_message(item, f"{where}[{index}]") for index, item in enumerate(value)]


def _message(item: object, where: str) -> Message:
    if isinstance(item, dict):
        role, content = item.get("role"), item.get("content")
        if isinstance(role, str) and isinstance(content, str):
            return {"role": role, "content": content}
    raise SourceError(f"{where} is no message", "It must have a role and content, both text")


def _lines(messages: list[Message]) -> str:
    return "\n".join(f"{message['role']}: {message['content']}" for message in messages)


def _apart(text: str) -> str:
    """The text with a line break at its end, so that documents in a window stay apart."""
    return text if text.endswith("\n") else f"{text}\n\n"


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "no columns at all"
