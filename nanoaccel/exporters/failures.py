"""What the libraries below raise becomes an error of the export that names the model's type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nanoaccel.errors import ExportError, NanoAccelError
from nanoaccel.exporters.progress import Progress

_PLACES = ("Exception from ", "Check '")  # lines in which OpenVINO names its own source files


@contextmanager
def named_failures(progress: Progress) -> Iterator[None]:
    """Turn what a stage raises, and does not explain itself, into an ExportError.

    Errors of this package say what to do already; those of the file system are about the output,
    which its publisher names.

    Args:
        progress: Knows the stage and the model's type.
    """
    try:
        yield
    except (NanoAccelError, OSError):
        raise
    except Exception as error:  # transformers, optimum, NNCF and OpenVINO raise nearly everything
        model = "the model" if progress.model_type is None else f"{progress.model_type!r}"
        raise ExportError(
            f"{model} cannot be exported, {progress.doing!r} failed: {reason_of(error)}",
            "Run it again with --debug to see where, and compare config.json with its maker's",
        ) from error


def reason_of(error: Exception) -> str:
    """What a library raised, in one line: its kind, and the first line that tells something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(_PLACES)]
    name = type(error).__name__
    return f"{name}: {telling[0]}" if telling else name
