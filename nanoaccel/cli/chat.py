"""``nanoaccel chat``: a conversation, line by line."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from nanoaccel.cli.conversation import Conversation
from nanoaccel.cli.engine import open_llm
from nanoaccel.cli.errors import report
from nanoaccel.cli.options import (
    EngineOptions,
    ReplicaOptions,
    ReuseOptions,
    SamplingOptions,
    SpeculationOptions,
)
from nanoaccel.cli.prompt import decode_utf8
from nanoaccel.cli.writing import ended_line
from nanoaccel.errors import (
    BundleError,
    ConfigError,
    GenerationError,
    PromptTooLongError,
    RequestError,
)

_COMMANDS = {
    "/reset": "forget the conversation",
    "/stats": "tokens and speed of the last answer, context used",
    "/help": "this list",
    "/exit": "leave; Ctrl-D does too",
}
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

    BUNDLE is a bundle's folder. /help lists the commands, Ctrl-C stops an answer.
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
            _load_line_editing()
            _note("/help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves")
        _talk(Conversation(llm, params, system), terminal)


def _talk(conversation: Conversation, terminal: bool) -> None:
    while True:
        try:
            line = _read_line(terminal)
        except ConfigError as error:
            if not terminal:
                raise
            report(error)
            continue
        except KeyboardInterrupt:
            line = None
        if line is None or line == "/exit":
            if terminal and line is None:
                typer.echo()
            return
        if not line:
            continue
        if re.fullmatch(r"/[a-z]*", line):
            _obey(line, conversation)
        else:
            _answer(line, conversation)


def _read_line(terminal: bool) -> str | None:
    """The next line without blanks around it; None at the end of the input."""
    if sys.stdin is None:
        return None
    try:
        if terminal:
            return input("> ").strip()
        content = sys.stdin.buffer.readline()
    except EOFError:
        return None
    except UnicodeDecodeError:
        raise ConfigError("the line is not UTF-8", "Type it again") from None
    return decode_utf8(content, "standard input").strip() if content else None


def _obey(command: str, conversation: Conversation) -> None:
    if command == "/reset":
        conversation.reset()
        _note("the conversation is forgotten")
    elif command == "/stats":
        _note(conversation.describe_last())
    elif command == "/help":
        _note("\n".join(f"{name:<8} {what}" for name, what in _COMMANDS.items()))
    else:
        _note(f"{command} is no command; /help lists them")


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


def _load_line_editing() -> None:
    with suppress(ImportError):  # Windows has no readline; its console edits lines itself
        import readline  # noqa: F401 - input() uses it once it is imported
