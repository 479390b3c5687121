"""How a command ends: its exit code, and one line on standard error when it failed."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress

import typer

from nanoaccel.cli.streams import release_streams
from nanoaccel.errors import NanoAccelError

INTERRUPTED = 130


def guard(command: Callable[[], None], *, debug: bool, name: str = "") -> int:
    """Run a command and give its exit code, whatever it raises.

    Args:
        command: Ends normally, with ``typer.Exit`` or with an error.
        debug: Print a traceback before the error's line.
        name: The command's, under which a failure is kept for bug reports.
    """
    code = 0
    try:
        command()
        sys.stdout.flush()
    except typer.Exit as end:
        code = end.exit_code
    except BrokenPipeError:
        pass  # the reader went away, as in "| head": it has what it wanted
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):  # rich exits by itself on that one
            raise
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        code = report(error)
        if not _is_usage(error):
            from nanoaccel.failures import keep_failure

            keep_failure(error, name)
    release_streams()
    return code


def report(error: Exception) -> int:
    """Print an error as one line and give its exit code."""
    message, code = describe(error)
    with suppress(OSError):
        typer.echo(f"error: {message}", err=True)
    return code


def _is_usage(error: Exception) -> bool:
    return callable(getattr(error, "format_message", None))


def describe(error: Exception) -> tuple[str, int]:
    """The line and the exit code for an error."""
    if isinstance(error, NanoAccelError):
        return _one_line(str(error)), error.exit_code
    # What typer raises on wrong usage is click's, and newer versions carry their own click.
    format_message = getattr(error, "format_message", None)
    if callable(format_message):
        path = getattr(getattr(error, "ctx", None), "command_path", "nanoaccel")
        return f"{_usage_problem(format_message())} See {path} --help", 2
    if isinstance(error, MemoryError):
        return "out of memory. Close other programs, or lower --kv-cache-memory", 1
    return (
        f"{type(error).__name__}: {_one_line(str(error))}; run again with --debug for a traceback",
        1,
    )


def _usage_problem(message: str) -> str:
    # Some versions of typer and click both add the suggestion.
    problem, *suggestions = _one_line(message).split(" Did you mean ")
    sentence = f"{problem.rstrip('.')}."
    if not suggestions or "--help" in suggestions[0]:  # --help is named anyway
        return sentence
    return f"{sentence} Did you mean {suggestions[0]}"


def _one_line(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines() if line.strip())
