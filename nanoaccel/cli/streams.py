"""Standard streams: safe to write to, whatever they are."""

from __future__ import annotations

import io
import os
import sys


def prepare_streams() -> None:
    """Make standard streams safe to write to: closed ones swallow, odd characters become ``?``."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the whole run
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the whole run
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def release_streams() -> None:
    """Point a stream that cannot be flushed to nowhere, or the interpreter complains at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
