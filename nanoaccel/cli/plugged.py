"""Commands of plugins; nothing of them is imported unless one is called or the help asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import typer

from nanoaccel.cli.options.expand import with_options
from nanoaccel.registry import COMMANDS


class Command(Protocol):
    """What a package registers under a command's name: a function as typer takes it."""

    def __call__(self, *arguments: Any, **options: Any) -> None:
        """Run it; typer reads its options from its signature."""
        ...


def add_plugged(group: Any, arguments: Sequence[str]) -> None:
    """Add what a command line needs of plugins: nothing where it names a command of ours.

    Args:
        group: The program, as typer made it.
        arguments: The command line.

    Raises:
        PluginError: It names a command of a plugin that cannot be used.
    """
    first = next((word for word in arguments if not word.startswith("-")), None)
    if first in group.commands:
        return
    if first is not None and COMMANDS.plugins_named(first):
        group.add_command(_as_command(first, COMMANDS.resolve(first)))
        return
    for name, function in COMMANDS.usable():
        if name not in group.commands:
            with COMMANDS.guard(name):
                group.add_command(_as_command(name, function))


def _as_command(name: str, function: Any) -> Any:
    with COMMANDS.named(name):
        single = typer.Typer(add_completion=False)
        single.command(name, rich_help_panel="Plugins")(with_options(function))
        return typer.main.get_command(single)
