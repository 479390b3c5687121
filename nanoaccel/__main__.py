"""``nanoaccel`` and ``python -m nanoaccel``: the command, where its libraries are installed."""

from __future__ import annotations

import sys

_LIBRARIES = ("click", "rich", "typer")


def run() -> None:
    """The console entry point."""
    try:
        from nanoaccel.cli.main import run as run_command
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _LIBRARIES:
            raise
        sys.exit(
            f"The command needs {error.name}, which an edge install leaves out; Python programs "
            "run without it. Install it: pip install typer rich"
        )
    run_command()


if __name__ == "__main__":
    run()
