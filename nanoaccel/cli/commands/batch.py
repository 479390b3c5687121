"""``nanoaccel batch``: a file of requests in OpenAI's batch format."""

from __future__ import annotations

import time
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
    SpeculationOptions,
    llm_arguments,
)
from nanoaccel.cli.options.panels import in_engine
from nanoaccel.cli.ui.counting import counting
from nanoaccel.errors import ConfigError

if TYPE_CHECKING:
    from nanoaccel.batch.answer_file import Answers
    from nanoaccel.batch.lines import Reply
    from nanoaccel.batch.request_file import RequestFile
    from nanoaccel.server.config import ServerConfig

SOME_FAILED = 3
_AHEAD = 2  # requests at once for each that runs: the next ones are encoded meanwhile


def batch(
    bundle: Path,
    requests: Path,
    answers: Path,
    parsers: ParserOptions,
    engine: EngineOptions,
    replicas: ReplicaOptions,
    speculation: SpeculationOptions,
    reuse: ReuseOptions,
    adapters: ServedAdapterOptions,
    max_running: Annotated[
        int | None, in_engine(help="Completions that run together at most.", show_default="32")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run on all nodes of a Ray cluster: HOST:PORT, or auto for that of this machine.",
        ),
    ] = None,
) -> None:
    """Answer a file of requests in OpenAI's batch format; '-' is standard input or output.

    BUNDLE is a bundle's folder, REQUESTS and ANSWERS are files of JSON lines. Answers come in the
    order in which they end, each with its custom_id. Where ANSWERS holds some already, what is
    missing is added. Exits with 3 when all are answered and some of the answers are errors.
    """
    need_packages("batch", "server", "starlette")
    if ray is not None:
        need_packages("--ray", "ray", "ray")
    from nanoaccel.batch.answer_file import open_answers
    from nanoaccel.batch.request_file import open_requests
    from nanoaccel.server.configure import configure_parsers

    if answers.exists() and requests.exists() and answers.samefile(requests):
        raise ConfigError(f"{answers} is both read and written", "Name another file for one")
    arguments = llm_arguments(engine, replicas, speculation, reuse, adapters)
    config = configure_parsers(
        (bundle,), {**arguments, "max_running": max_running}, parsers.arguments()
    )
    begun = time.monotonic()
    with open_requests(requests) as asked:
        keys = asked.keys()
        with open_answers(answers, keys) as answered:
            _say_beginning(answered, len(keys))
            if len(answered.done) < len(keys):
                _run(asked, answered, len(keys), config, _AHEAD * config.max_running, ray)
            done, failed = len(answered.done), answered.failed
    seconds = time.monotonic() - begun
    typer.echo(f"{done} answered in {seconds:.1f} s, {failed} of them with an error", err=True)
    if failed > 0:
        raise typer.Exit(SOME_FAILED)


def _say_beginning(answered: Answers, total: int) -> None:
    if answered.done:
        typer.echo(f"{len(answered.done)} of {total} requests are answered already", err=True)


def _run(
    asked: RequestFile,
    answered: Answers,
    total: int,
    config: ServerConfig,
    at_once: int,
    ray: str | None,
) -> None:
    from nanoaccel.batch.local import run_here
    from nanoaccel.batch.request_file import unanswered

    with counting("requests", total) as show:

        def deliver(reply: Reply) -> None:
            answered.add(reply)
            show(len(answered.done), f"{answered.failed} failed" if answered.failed else "")

        show(len(answered.done), "loading")
        if ray is None:
            run_here(unanswered(asked, answered.done), config, deliver, at_once=at_once)
            return
        from nanoaccel.fleet.batch.run import run_on_ray

        run_on_ray(
            ray,
            lambda: unanswered(asked, answered.done),
            config,
            deliver,
            at_once=at_once,
        )
