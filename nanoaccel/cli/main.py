"""The command ``nanoaccel``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from nanoaccel.cli.commands.adapter.add import add as adapter_add
from nanoaccel.cli.commands.adapter.list import list_ as adapter_list
from nanoaccel.cli.commands.adapter.rm import rm as adapter_rm
from nanoaccel.cli.commands.batch import batch
from nanoaccel.cli.commands.bench import bench
from nanoaccel.cli.commands.chat import chat
from nanoaccel.cli.commands.compare import compare
from nanoaccel.cli.commands.config import config
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
from nanoaccel.cli.commands.plugins.list import list_plugins
from nanoaccel.cli.commands.plugins.new import new as plugins_new
from nanoaccel.cli.commands.profile import profile
from nanoaccel.cli.commands.pull import pull
from nanoaccel.cli.commands.quickstart import quickstart
from nanoaccel.cli.commands.recover import recover
from nanoaccel.cli.commands.rm import rm
from nanoaccel.cli.commands.serve import serve
from nanoaccel.cli.commands.tune import tune
from nanoaccel.cli.errors import guard
from nanoaccel.cli.logs import FORMAT, LEVEL, command_log
from nanoaccel.cli.options.expand import with_options
from nanoaccel.cli.plugged import add_plugged
from nanoaccel.cli.streams import prepare_streams
from nanoaccel.registry import disable_plugins

_DEBUG = "--debug"
_DISABLE = "--disable"
_GROUPS: dict[str, tuple[Callable[..., None], ...]] = {
    "Make": (quickstart, export, recover, convert, pull, finetune, merge),
    "Use": (generate, chat, serve, batch),
    "Measure": (eval, compare, bench, tune, profile),
    "Look": (list_, inspect, rm, cpu, doctor, config),
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
adapters = typer.Typer(help="Put adapters into a bundle, and take them out.")
for _command in (adapter_add, adapter_list, adapter_rm):
    adapters.command(_command.__name__.rstrip("_"))(with_options(_command))
app.add_typer(adapters, name="adapter", rich_help_panel="Make")
data = typer.Typer(help="Look at data to learn from, and change its form.")
for _command in (data_check, data_stats, data_convert, data_split):
    data.command()(with_options(_command))
app.add_typer(data, name="data", rich_help_panel="Make")
plugins = typer.Typer(help="Show the plugins that are installed, and begin one.")
plugins.callback(invoke_without_command=True)(with_options(list_plugins))
plugins.command("new")(with_options(plugins_new))
app.add_typer(plugins, name="plugins", rich_help_panel="Look")


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
    disable: Annotated[  # read by main(), wherever it stands
        list[str] | None,
        typer.Option(_DISABLE, metavar="NAME", help="Do not use a plugin, or a package's."),
    ] = None,
    log_level: Annotated[  # these two are read by main(), wherever they stand
        str | None,
        typer.Option(
            LEVEL,
            metavar="debug|info|warning|error",
            help="What to write into the log, which goes to standard error.",
            show_default="warning; info for serve",
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(
            FORMAT,
            metavar="text|json",
            help="How its lines look.",
            show_default="text; json for serve",
        ),
    ] = None,
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
    split = given.index("--") if "--" in given else len(given)
    options = given[:split]
    debug = _DEBUG in options
    disabled, options = _take(_DISABLE, [word for word in options if word != _DEBUG])
    levels, options = _take(LEVEL, options)
    formats, options = _take(FORMAT, options)
    log = {"level": levels[-1:], "format": formats[-1:]}
    kept = options + given[split:]
    name = _name_of(kept)

    def command() -> None:
        with command_log(name, {key: words[0] for key, words in log.items() if words}):
            _invoke(kept if kept else ["--help"], disabled)

    return guard(command, debug=debug, name=name)


def _take(option: str, words: list[str]) -> tuple[list[str], list[str]]:
    """The values behind an option, wherever it stands, and the other words; one without stays."""
    values: list[str] = []
    others: list[str] = []
    place = 0
    while place < len(words):
        word = words[place]
        if word == option and place + 1 < len(words):
            place += 1
            values.append(words[place])
        elif word.startswith(f"{option}="):
            values.append(word.partition("=")[2])
        else:
            others.append(word)
        place += 1
    return values, others


def _name_of(words: list[str]) -> str:
    """The command that a command line names; empty where that is none of ours."""
    first = next((word for word in words if not word.startswith("-")), "")
    known = {item.name for item in app.registered_commands}
    known |= {item.name for item in app.registered_groups}
    return first if first in known else ""


def _invoke(arguments: list[str], disabled: list[str]) -> None:
    if disabled:
        disable_plugins(disabled)
    # Not app(): it prints errors in its own way, and turns a closed pipe into exit code 1.
    command = typer.main.get_command(app)
    add_plugged(command, arguments)
    with command.make_context("nanoaccel", arguments) as context:
        command.invoke(context)
