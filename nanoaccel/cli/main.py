"""The command ``nanoaccel``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from nanoaccel.cli.commands.batch import batch
from nanoaccel.cli.commands.bench import bench
from nanoaccel.cli.commands.chat import chat
from nanoaccel.cli.commands.convert import convert
from nanoaccel.cli.commands.cpu import cpu
from nanoaccel.cli.commands.data.check import check as data_check
from nanoaccel.cli.commands.data.convert import convert as data_convert
from nanoaccel.cli.commands.data.split import split as data_split
from nanoaccel.cli.commands.data.stats import stats as data_stats
from nanoaccel.cli.commands.doctor import doctor
from nanoaccel.cli.commands.draft.rank import rank
from nanoaccel.cli.commands.draft.train import train
from nanoaccel.cli.commands.eval import eval
from nanoaccel.cli.commands.export import export
from nanoaccel.cli.commands.finetune import finetune
from nanoaccel.cli.commands.generate import generate
from nanoaccel.cli.commands.inspect import inspect
from nanoaccel.cli.commands.list import list_
from nanoaccel.cli.commands.merge import merge
from nanoaccel.cli.commands.profile import profile
from nanoaccel.cli.commands.pull import pull
from nanoaccel.cli.commands.quickstart import quickstart
from nanoaccel.cli.commands.rm import rm
from nanoaccel.cli.commands.serve import serve
from nanoaccel.cli.commands.tune import tune
from nanoaccel.cli.errors import guard
from nanoaccel.cli.options.expand import with_options
from nanoaccel.cli.streams import prepare_streams

_DEBUG = "--debug"
_GROUPS: dict[str, tuple[Callable[..., None], ...]] = {
    "Make": (quickstart, export, convert, pull, finetune, merge),
    "Use": (generate, chat, serve, batch),
    "Measure": (eval, bench, tune, profile),
    "Look": (list_, inspect, rm, cpu, doctor),
}

app = typer.Typer(
    name="nanoaccel",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _group, _commands in _GROUPS.items():
    for _command in _commands:
        _name = _command.__name__.rstrip("_")
        app.command(_name, rich_help_panel=_group)(with_options(_command))
drafts = typer.Typer(help="Make drafts, which guess for a model, and choose among them.")
for _command in (rank, train):
    drafts.command()(with_options(_command))
app.add_typer(drafts, name="draft", rich_help_panel="Make")
data = typer.Typer(help="Look at data to learn from, and change its form.")
for _command in (data_check, data_stats, data_convert, data_split):
    data.command()(with_options(_command))
app.add_typer(data, name="data", rich_help_panel="Make")


def _print_version(wanted: bool) -> None:
    if wanted:
        import nanoaccel

        typer.echo(nanoaccel.__version__)
        raise typer.Exit


@app.callback()
def nanoaccel(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
        ),
    ] = False,
    debug: Annotated[  # read by main(), wherever it stands
        bool, typer.Option(_DEBUG, help="Print a traceback when a command fails.")
    ] = False,
) -> None:
    """Export language models to compressed OpenVINO or ONNX bundles and run them on CPUs."""


def run() -> None:
    """The console entry point."""
    prepare_streams()
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run the command line and give its exit code.

    Args:
        arguments: As typed, without the program's name; none at all prints the help.
    """
    given = list(arguments)
    options = given[: given.index("--")] if "--" in given else given
    debug = _DEBUG in options
    kept = [word for word in options if word != _DEBUG] + given[len(options) :]
    return guard(lambda: _invoke(kept if kept else ["--help"]), debug=debug)


def _invoke(arguments: list[str]) -> None:
    # Not app(): it prints errors in its own way, and turns a closed pipe into exit code 1.
    command = typer.main.get_command(app)
    with command.make_context("nanoaccel", arguments) as context:
        command.invoke(context)
