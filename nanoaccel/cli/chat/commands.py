"""What can be said to a chat itself, and not to the model."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from nanoaccel.cli.chat.conversation import Conversation
from nanoaccel.cli.chat.conversation_file import load_messages, save_messages
from nanoaccel.cli.chat.settings import change_setting, show_settings
from nanoaccel.cli.ui.table import table
from nanoaccel.errors import ConfigError

EXIT = "/exit"
_COMMANDS = {
    "/reset": "forget the conversation",
    "/stats": "tokens and speed of the last answer, context used",
    "/set NAME VALUE": "change how answers are sampled; /set alone shows it",
    "/save FILE": "write the conversation to a JSON file",
    "/load FILE": "go on with a conversation that was saved",
    '"""': "begins and ends a message of several lines",
    "/help": "this list",
    EXIT: "leave; Ctrl-D does too, and Ctrl-C twice",
}
_WITH_ARGUMENT = ("/set", "/save", "/load")
_COMMAND = re.compile(r"(/[a-z]*)(?:[ \t]+(.*))?")


def as_command(message: str) -> tuple[str, str] | None:
    """A command and its argument; None where the message is for the model."""
    found = _COMMAND.fullmatch(message)
    if found is None or (found[2] and found[1] not in _WITH_ARGUMENT):
        return None
    return found[1], found[2] or ""


def obey(command: str, argument: str, conversation: Conversation) -> str:
    """Do what a command says, and give what to tell the user.

    Raises:
        ConfigError: Its argument is wrong, or a file cannot be read or written.
    """
    do = _ACTIONS.get(command)
    if do is None:
        return f"{command} is no command; /help lists them"
    return do(argument, conversation)


def _reset(_: str, conversation: Conversation) -> str:
    conversation.reset()
    return "the conversation is forgotten"


def _stats(_: str, conversation: Conversation) -> str:
    return conversation.describe_last()


def _help(_: str, __: Conversation) -> str:
    return table(list(_COMMANDS.items()))


def _set(argument: str, conversation: Conversation) -> str:
    if not argument:
        return table(show_settings(conversation.params))
    name, _, value = re.sub(r"\s*=\s*|\s+", " ", argument, count=1).partition(" ")
    if not value:
        raise ConfigError(f"/set {name} has no value", f"Write it as: /set {name} VALUE")
    conversation.params = change_setting(conversation.params, name, value)
    shown = dict(show_settings(conversation.params))
    name = name.lstrip("-").replace("-", "_")
    return f"{name} is {shown[name]}"


def _save(argument: str, conversation: Conversation) -> str:
    file = _file("/save", argument)
    save_messages(conversation.messages, file)
    return f"saved {_count(conversation)} in {file}"


def _load(argument: str, conversation: Conversation) -> str:
    file = _file("/load", argument)
    conversation.resume(load_messages(file))
    return f"loaded {_count(conversation)} from {file}"


def _file(command: str, argument: str) -> Path:
    if not argument:
        raise ConfigError(f"{command} names no file", f"Write it as: {command} FILE")
    return Path(argument).expanduser()


def _count(conversation: Conversation) -> str:
    count = len(conversation.messages)
    return f"{count} message{'' if count == 1 else 's'}"


_ACTIONS: dict[str, Callable[[str, Conversation], str]] = {
    "/reset": _reset,
    "/stats": _stats,
    "/set": _set,
    "/save": _save,
    "/load": _load,
    "/help": _help,
}
