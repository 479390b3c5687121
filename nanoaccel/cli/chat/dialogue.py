"""The back and forth of a chat: messages and commands in, answers and remarks out."""

from __future__ import annotations

import typer

from nanoaccel.cli.chat.commands import EXIT, as_command, obey
from nanoaccel.cli.chat.conversation import Conversation
from nanoaccel.cli.chat.input import ChatInput
from nanoaccel.cli.errors import report
from nanoaccel.cli.ui.writing import ended_line
from nanoaccel.errors import ConfigError, GenerationError, PromptTooLongError, RequestError

_RESET = "/reset starts anew"


def talk(conversation: Conversation, terminal: bool) -> None:
    """Answer messages until the input ends, or the user leaves.

    Args:
        conversation: Gives the answers.
        terminal: Whether somebody types; then a wrong line is told, and Ctrl-C clears the line.

    Raises:
        ConfigError: Without a terminal, the input is not UTF-8.
    """
    source = ChatInput(terminal)
    interrupted = False
    while True:
        try:
            message = source.message()
        except ConfigError as error:
            if not terminal:
                raise
            report(error)
            continue
        except KeyboardInterrupt:
            if interrupted or not terminal:
                message = None
            else:
                interrupted = True
                _note("\nCtrl-C again leaves")
                continue
        interrupted = False
        if message is None or message == EXIT:
            if terminal and message is None:
                typer.echo()
            return
        if message:
            _hear(message, conversation)


def _hear(message: str, conversation: Conversation) -> None:
    command = as_command(message)
    if command is None:
        _answer(message, conversation)
        return
    try:
        _note(obey(*command, conversation))
    except ConfigError as error:
        report(error)


def _answer(text: str, conversation: Conversation) -> None:
    try:
        with ended_line() as line:
            conversation.answer(text, line.write)
    except KeyboardInterrupt:  # before the answer began
        return
    except PromptTooLongError as error:
        _note(f"the conversation no longer fits the context: {error.problem}; {_RESET}")
        return
    except (RequestError, GenerationError) as error:
        report(error)
        return
    if conversation.last is None or conversation.last.finish_reason != "length":
        return
    if conversation.context_is_full:
        _note(f"the answer was cut: the context is full; {_RESET}")
    else:
        _note("the answer was cut by --max-tokens")


def _note(text: str) -> None:
    typer.echo(text, err=True)
