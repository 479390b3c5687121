"""``nanoaccel serve``: OpenAI's API over bundles."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanoaccel.cli.installation.extras import need_packages
from nanoaccel.cli.options import (
    EngineOptions,
    ParserOptions,
    ReplicaOptions,
    ReuseOptions,
    ServedAdapterOptions,
    ServerOptions,
    SpeculationOptions,
    llm_arguments,
)
from nanoaccel.cli.options.panels import in_engine

if TYPE_CHECKING:
    from nanoaccel.server.config import ServerConfig


def serve(
    bundles: list[Path],
    server: ServerOptions,
    parsers: ParserOptions,
    engine: EngineOptions,
    replicas: ReplicaOptions,
    speculation: SpeculationOptions,
    reuse: ReuseOptions,
    adapters: ServedAdapterOptions,
    max_running: Annotated[
        int | None, in_engine(help="Requests that run together at most.", show_default="32")
    ] = None,
    max_waiting: Annotated[
        int | None,
        in_engine(
            help="Requests that may wait; further ones are told to try again.", show_default="1024"
        ),
    ] = None,
    max_queued_tokens: Annotated[
        int | None,
        in_engine(help="Prompt tokens of requests that wait; further ones are told to try again."),
    ] = None,
) -> None:
    """Serve bundles by OpenAI's API, until SIGTERM or Ctrl-C.

    BUNDLES are folders; the name of each is that of its model. The first is loaded at once, the
    others when they are asked for. The log goes to standard error, as JSON from "info" on where
    --log-format and --log-level say nothing else.
    """
    need_packages("serve", "server", "starlette", "uvicorn")
    from nanoaccel.server.configure import configure_server
    from nanoaccel.server.run import serve as run

    arguments = llm_arguments(engine, replicas, speculation, reuse, adapters)
    limits = {
        "max_running": max_running,
        "max_waiting": max_waiting,
        "max_queued_tokens": max_queued_tokens,
    }
    config = configure_server(
        tuple(bundles), {**arguments, **limits}, {**server.arguments(), **parsers.arguments()}
    )
    if not config.on_loopback and not config.api_keys:
        typer.echo(
            f"warning: everybody who reaches {config.host} can use this server. Give it an "
            "--api-key",
            err=True,
        )
    run(config, partial(_say_where, config))


def _say_where(config: ServerConfig, port: int) -> None:
    host = f"[{config.host}]" if ":" in config.host else config.host
    typer.echo(f"http://{host}:{port}/v1")
    typer.echo(f"http://{host}:{port}/ has a page for a browser")
