"""The log of a command: written to standard error, as text or as JSON, and nowhere else."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Literal, TextIO, TypeAlias

Format: TypeAlias = Literal["text", "json"]

# Each package logs under one of these, which stay as they are;
# docs/reference/configuration.md lists them.
LOGGERS = ("nanoaccel", "uvicorn.error")
_OTHERS_LEVEL = logging.WARNING


class JsonLines(logging.Formatter):
    """A record as JSON: time, level, logger, message, a request's facts, and an exception.

    One object a line, so that nothing a client sends can forge another.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line of ASCII."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class TextLines(logging.Formatter):
    """A record for people: time, level, logger, message, and a request's facts."""

    def format(self, record: logging.LogRecord) -> str:
        """A line; more with an exception. What is not printable is shown escaped."""
        time = datetime.fromtimestamp(record.created).isoformat(sep=" ", timespec="seconds")
        facts = "".join(f" {k}={value}" for k, value in getattr(record, "facts", {}).items())
        line = f"{record.levelname.lower()}: {record.getMessage()}{facts}"
        shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
        text = f"{time} {record.name} {shown}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


@contextmanager
def written_log(
    level: str, form: Format, *others: logging.Handler, stream: TextIO | None = None
) -> Iterator[None]:
    """Inside, what the package and the web server log is written to a stream.

    Args:
        level: The lowest that is written; "debug" to "error". The web server's begins at "warning".
        form: How lines look.
        others: Handlers besides.
        stream: Where to; None is standard error.
    """
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    least = logging.getLevelName(level.upper())
    before = []
    for name in LOGGERS:
        logger = logging.getLogger(name)
        before.append((logger, logger.handlers[:], logger.propagate, logger.level))
        logger.handlers[:] = [handler, *others]
        logger.propagate = False
        logger.setLevel(least if name == LOGGERS[0] else max(least, _OTHERS_LEVEL))
    try:
        yield
    finally:
        for logger, handlers, propagate, old in before:
            logger.handlers[:] = handlers
            logger.propagate = propagate
            logger.setLevel(old)
