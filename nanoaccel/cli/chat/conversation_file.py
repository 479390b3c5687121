"""A conversation as a JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nanoaccel.errors import ConfigError
from nanoaccel.folders import whole_file

_FIELD = "messages"


def save_messages(messages: Sequence[dict[str, str]], file: Path) -> None:
    """Write messages; a file that stands there is replaced if it is a conversation too.

    Raises:
        ConfigError: It cannot be written, or something else stands there.
    """
    if file.exists():
        load_messages(file)
    try:
        with whole_file(file) as partial:
            text = json.dumps({_FIELD: list(messages)}, indent=2, ensure_ascii=False)
            partial.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}", "Name another file"
        ) from error


def load_messages(file: Path) -> list[dict[str, str]]:
    """Read messages: those of an object, or a list of them.

    Raises:
        ConfigError: It cannot be read, or is no conversation.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read: {error.strerror}", "Name a file that /save wrote"
        ) from error
    except (ValueError, RecursionError) as error:
        raise _no_conversation(file) from error
    messages = found.get(_FIELD) if isinstance(found, dict) else found
    if not isinstance(messages, list) or not all(map(_is_message, messages)):
        raise _no_conversation(file)
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def _is_message(found: Any) -> bool:
    return isinstance(found, dict) and all(
        isinstance(found.get(name), str) for name in ("role", "content")
    )


def _no_conversation(file: Path) -> ConfigError:
    return ConfigError(
        f"{file} is no conversation: it must hold messages with role and content, as JSON",
        "Name another file",
    )
