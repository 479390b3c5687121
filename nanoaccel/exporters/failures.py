"""Turns errors of the libraries into export errors that name the model's type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nanoaccel.errors import ExportError, NanoAccelError
from nanoaccel.exporters.progress import Progress

_PLACES = ("Exception from ", "Check '")  # lines in which OpenVINO names its own source files


@contextmanager
def named_failures(progress: Progress) -> Iterator[None]:
    """Turn unexplained errors of a stage into an ExportError.

    Errors of this package say what to do already; those of the file system are about the output,
    which its publisher names.

    Args:
        progress: Progress of the export; names the stage and the model's type.
    """
    try:
        yield
    except (NanoAccelError, OSError):
        raise
    except Exception as error:  # transformers, NNCF and OpenVINO raise nearly everything
        model = "the model" if progress.model_type is None else f"{progress.model_type!r}"
        raise ExportError(
            f"{model} cannot be exported, {progress.doing!r} failed: {reason_of(error)}",
            "Run it again with --debug to see where, and compare config.json with its maker's",
        ) from error


def reason_of(error: Exception) -> str:
    """An error of a library in one line: its type, and the first line with information."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(_PLACES)]
    name = type(error).__name__
    return f"{name}: {telling[0]}" if telling else name
