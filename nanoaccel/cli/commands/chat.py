"""``nanoaccel chat``: a conversation, line by line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nanoaccel.cli.chat.conversation import Conversation
from nanoaccel.cli.chat.dialogue import talk
from nanoaccel.cli.loading import open_llm
from nanoaccel.cli.options import (
    AdapterOptions,
    EngineOptions,
    ReplicaOptions,
    ReuseOptions,
    SamplingOptions,
    SpeculationOptions,
    llm_arguments,
)
from nanoaccel.errors import BundleError


def chat(
    bundle: Path,
    sampling: SamplingOptions,
    engine: EngineOptions,
    replicas: ReplicaOptions,
    speculation: SpeculationOptions,
    reuse: ReuseOptions,
    adapters: AdapterOptions,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The system message of the conversation.")
    ] = None,
) -> None:
    """Talk with a chat model, line by line.

    BUNDLE is a bundle's folder. /help lists commands; Ctrl-C stops an answer or clears the line.
    """
    params = sampling.params()
    arguments = llm_arguments(engine, replicas, speculation, reuse, adapters)
    with open_llm(bundle, **arguments) as llm:
        if not llm.tokenizer.has_chat_template:
            raise BundleError(
                f"{bundle} has no chat template", f"Use: nanoaccel generate --raw {bundle} PROMPT"
            )
        terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
        if terminal:
            typer.echo("/help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves", err=True)
        talk(Conversation(llm, params, system, adapters.request()), terminal)
