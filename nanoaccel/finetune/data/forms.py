"""The forms that rows come in, told apart by the names of their columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from nanoaccel.finetune.data.records import Completion, Conversation, PlainText, Record

_ANSWERS = ("completion", "response", "answer")
_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant"}  # ShareGPT's names
_KNOWN = (
    "messages, conversations, prompt with completion or response, instruction with output, or text"
)

Columns: TypeAlias = "Mapping[str, Any]"


class FormError(ValueError):
    """A row has none of the forms, or a value of the wrong type."""


def read_form(row: object) -> Record:
    """The record of a row.

    ========================================= =============================================
    messages                                  role and content each; ``tools`` beside them
    conversations                             ShareGPT's: from and value each
    prompt with completion, response, answer  two texts
    instruction with output                   Alpaca's; ``input`` is more of the instruction
    text                                      a text
    ========================================= =============================================

    Args:
        row: Column to value.

    Raises:
        FormError: The row has none of these forms, or says nothing; the message is the end of a
            sentence about it.
    """
    if not isinstance(row, Mapping):
        raise FormError(f"is of type {type(row).__name__}, not an object")
    for name, read in _FORMS.items():
        if row.get(name) is not None:
            return read(row)
    names = ", ".join(map(str, row)) or "no columns at all"
    raise FormError(f"has neither {_KNOWN}; it has {names}")


def _messages(row: Columns) -> Record:
    tools = row.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise FormError(f"has tools of type {type(tools).__name__}, not a list")
    return _conversation(row["messages"], "messages", "role", "content", tools)


def _share_gpt(row: Columns) -> Record:
    return _conversation(row["conversations"], "conversations", "from", "value", None)


def _conversation(
    found: object, column: str, role: str, content: str, tools: list[Any] | None
) -> Record:
    if not isinstance(found, list) or not found:
        raise FormError(f"has {column} that are no list of messages")
    messages: list[dict[str, object]] = []
    for place, item in enumerate(found):
        name = f"{column}[{place}]"
        if not isinstance(item, Mapping) or not isinstance(item.get(role), str):
            raise FormError(f"has no {role} in {name}")
        said = item.get(content)
        more = {key: value for key, value in item.items() if key not in (role, content)}
        if not isinstance(said, str) and not (said is None and any(more.values())):
            raise FormError(f"has a {content} in {name} that is no text")
        if column == "conversations":
            more = {}
        messages.append({"role": _ROLES.get(item[role], item[role]), "content": said, **more})
    answers = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    if not answers:
        roles = ", ".join(dict.fromkeys(str(message["role"]) for message in messages))
        raise FormError(f"has no message of the assistant to learn; its roles are {roles}")
    for place in answers:
        said = messages[place]["content"]
        if isinstance(said, str) and not said.strip() and len(messages[place]) == 2:
            raise FormError(f"has an empty answer in {column}[{place}]")
    return Conversation(tuple(messages), None if tools is None else tuple(tools))


def _completion(row: Columns) -> Record:
    for name in _ANSWERS:
        if row.get(name) is not None:
            if isinstance(row["prompt"], list) and isinstance(row[name], list):
                both = [*row["prompt"], *row[name]]
                return _conversation(both, "messages", "role", "content", None)
            return Completion(_text(row, "prompt"), _answer(row, name))
    raise FormError(f"has a prompt, and no {' or '.join(_ANSWERS)}")


def _alpaca(row: Columns) -> Record:
    if row.get("output") is None:
        raise FormError("has an instruction, and no output")
    more = _text(row, "input") if row.get("input") is not None else ""
    prompt = _text(row, "instruction") + (f"\n\n{more}" if more.strip() else "")
    return Completion(prompt, _answer(row, "output"))


def _plain(row: Columns) -> Record:
    text = _text(row, "text")
    if not text.strip():
        raise FormError("has an empty text")
    return PlainText(text)


def _answer(row: Columns, name: str) -> str:
    answer = _text(row, name)
    if not answer.strip():
        raise FormError(f"has an empty answer ({name})")
    return answer


def _text(row: Columns, name: str) -> str:
    value = row[name]
    if not isinstance(value, str):
        raise FormError(f"has a {name} of type {type(value).__name__}, not text")
    return value


_FORMS: dict[str, Callable[[Columns], Record]] = {
    "messages": _messages,
    "conversations": _share_gpt,
    "prompt": _completion,
    "instruction": _alpaca,
    "text": _plain,
}
