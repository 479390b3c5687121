"""``nanoaccel chat``: a conversation, line by line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nanoaccel.cli.engine import open_llm
from nanoaccel.cli.errors import report
from nanoaccel.cli.options import (
    EngineOptions,
    ReplicaOptions,
    ReuseOptions,
    SamplingOptions,
    SpeculationOptions,
)
from nanoaccel.cli.ui.chat_commands import EXIT, as_command, obey
from nanoaccel.cli.ui.chat_input import ChatInput
from nanoaccel.cli.ui.conversation import Conversation
from nanoaccel.cli.ui.writing import ended_line
from nanoaccel.errors import (
    BundleError,
    ConfigError,
    GenerationError,
    PromptTooLongError,
    RequestError,
)

_RESET = "/reset starts anew"


def chat(
    bundle: Path,
    sampling: SamplingOptions,
    engine: EngineOptions,
    replicas: ReplicaOptions,
    speculation: SpeculationOptions,
    reuse: ReuseOptions,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The system message of the conversation.")
    ] = None,
) -> None:
    """Talk with a chat model, line by line.

    BUNDLE is a bundle's folder. /help lists commands; Ctrl-C stops an answer or clears the line.
    """
    params = sampling.params()
    arguments = {
        **engine.arguments(),
        **replicas.arguments(),
        **speculation.arguments(),
        **reuse.arguments(),
    }
    with open_llm(bundle, **arguments) as llm:
        if not llm.tokenizer.has_chat_template:
            raise BundleError(
                f"{bundle} has no chat template", f"Use: nanoaccel generate --raw {bundle} PROMPT"
            )
        terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
        if terminal:
            _note("/help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves")
        _talk(Conversation(llm, params, system), terminal)


def _talk(conversation: Conversation, terminal: bool) -> None:
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
