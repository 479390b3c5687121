"""Writes docs/reference/commands.md from the help of each command.

python scripts/command_reference.py           write it
python scripts/command_reference.py --check   exit with 1 when it is not what it would write
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_PAGE = _ROOT / "docs" / "reference" / "commands.md"
_WIDTH = 88
_REGENERATE = "python scripts/command_reference.py"
_HEAD = f"""\
# Commands

<!-- Written by {_REGENERATE}; do not edit. -->

Results go to standard output, progress and errors to standard error. The exit code is 0 when all
went well, 1 when something failed, 2 when an option or a request is wrong, and 130 after Ctrl-C.
"""


def main() -> int:
    """Write or check the page; gives the exit code."""
    parser = argparse.ArgumentParser(description="Write the reference of commands from their help.")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    check = parser.parse_args().check
    wanted = render()
    found = _PAGE.read_text(encoding="utf-8") if _PAGE.is_file() else ""
    if not check:
        _PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if found == wanted:
        return 0
    changes = difflib.unified_diff(
        found.splitlines(),
        wanted.splitlines(),
        "docs/reference/commands.md",
        "the commands' help",
        "",
        "",
        1,
    )
    print("\n".join(line.rstrip("\n") for line in changes), file=sys.stderr)
    print(f"docs/reference/commands.md is out of date. Run: {_REGENERATE}", file=sys.stderr)
    return 1


def render() -> str:
    """The page."""
    _fix_terminal()
    sys.path.insert(0, str(_ROOT))
    from nanoaccel.cli.main import main as run

    parts = [_HEAD]
    parts += [
        _section(" ".join(["nanoaccel", *path]), _help(run, path)) for path in command_paths()
    ]
    return "\n".join(parts)


def command_paths() -> list[list[str]]:
    """The command, and all below it as they are typed, in the order of the help."""
    import typer

    from nanoaccel.cli.main import app

    def below(command: object, path: list[str]) -> list[list[str]]:
        found = getattr(command, "commands", {})
        return [path, *(deep for name in found for deep in below(found[name], [*path, name]))]

    return below(typer.main.get_command(app), [])


def _fix_terminal() -> None:
    """Fixed width, no colors: typer and rich read the environment when they are imported."""
    assert "typer" not in sys.modules, "too late"
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):
        os.environ.pop(name, None)
    for name in ("COLUMNS", "TERMINAL_WIDTH"):
        os.environ[name] = str(_WIDTH)
    os.environ["NO_COLOR"] = "1"
    os.environ["TERM"] = "dumb"


def _help(run: object, arguments: list[str]) -> str:
    assert callable(run)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = run([*arguments, "--help"])
    if code != 0:
        raise SystemExit(f"nanoaccel {' '.join(arguments)} --help failed")
    return output.getvalue()


def _section(title: str, text: str) -> str:
    body = "\n".join(line.rstrip() for line in text.strip("\n").splitlines()).strip("\n")
    return f"## {title}\n\n```text\n{body}\n```\n"


if __name__ == "__main__":
    sys.exit(main())
