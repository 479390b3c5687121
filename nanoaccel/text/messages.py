"""The messages of a chat: their form, and the last one where it is to be continued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nanoaccel.errors import RequestError

# Where the model goes on writing; transformers' own mark, since a template may look at the text.
_MARK = "CONTINUE_FINAL_MESSAGE_TAG "
_REASONING = ("reasoning_content", "thinking", "reasoning")


def check_messages(messages: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Messages as a template takes them: each with a role and with content.

    Content is a string, or a list of parts, which are the template's business. A message of the
    assistant that says something in another way, by calling tools for instance, needs none.

    Raises:
        RequestError: The messages are malformed.
    """
    if not isinstance(messages, Sequence) or not messages:
        raise RequestError(
            "messages is not a list of at least one message",
            "Pass a list such as [{'role': 'user', 'content': 'Hello'}]",
        )
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise RequestError(
                f"messages[{index}] is a {type(message).__name__}",
                "Pass a mapping with 'role' and 'content'",
            )
        if not isinstance(message.get("role"), str):
            raise RequestError(
                f"messages[{index}]['role'] is {message.get('role')!r:.80}", "It must be a string"
            )
        _check_content(message, f"messages[{index}]")
    return [_told(message) for message in messages]


def _told(message: Mapping[str, object]) -> dict[str, object]:
    """A message as transformers hands it to a template.

    What is None is left out, because many templates would write "None"; reasoning stands under the
    two names that templates read.
    """
    found = {key: plain(value) for key, value in message.items() if value is not None}
    reasoning = next((found[name] for name in _REASONING if name in found), None)
    if reasoning is None:
        return found
    return {"thinking": reasoning, **found, "reasoning_content": reasoning}


def _check_content(message: Mapping[str, object], name: str) -> None:
    content = message.get("content")
    if content is None:
        others = (value for key, value in message.items() if key not in ("role", "content"))
        if message["role"] == "assistant" and any(others):
            return
        raise RequestError(
            f"{name}['content'] is {content!r}",
            "It must be a string or a list of parts, except beside tool_calls of the assistant",
        )
    if isinstance(content, str | Mapping):
        return
    if not isinstance(content, Sequence) or isinstance(content, bytes):
        raise RequestError(
            f"{name}['content'] is {content!r:.80}", "It must be a string or a list of parts"
        )
    for place, part in enumerate(content):
        if not isinstance(part, str | Mapping):
            raise RequestError(
                f"{name}['content'][{place}] is {part!r:.80}",
                "A part is a mapping such as {'type': 'text', 'text': 'Hello'}",
            )


def plain(value: object) -> object:
    """The same in dicts and lists of its own, which a template can neither mistake nor change."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def mark_end(messages: list[dict[str, object]]) -> str:
    """Put a mark behind the last text of the last message, and give that text.

    Raises:
        RequestError: The last message has no text.
    """
    last = messages[-1]
    content = last.get("content")
    if isinstance(content, str):
        last["content"] = content + _MARK
        return content
    parts = content if isinstance(content, list) else []
    for part in reversed(parts):
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            text: str = part["text"]
            part["text"] = text + _MARK
            return text
    raise RequestError(
        "continue_final_message is set, and the last message has no text",
        "Give it the text that is to be continued",
    )


def cut_at_mark(prompt: str, text: str) -> str:
    """The prompt up to where the last message, with this text, is to be continued.

    Raises:
        RequestError: The template has changed the message, so that there is no such place.
    """
    mark = _MARK.strip()
    if text.strip() not in prompt or mark not in prompt:
        raise RequestError(
            "continue_final_message is set, and the chat template leaves out the last message",
            "Change the message, or begin a new one",
        )
    place = prompt.rindex(mark)
    if prompt.startswith(_MARK, place):
        return prompt[:place]
    # The template trimmed the message, and the mark with it.
    return prompt[:place].rstrip()
