"""The log of the command that runs, and the failures that it keeps."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from nanoaccel.errors import ConfigError
from nanoaccel.logs import Format, written_log
from nanoaccel.settings import Found, Resolved, check_argument, resolve

LEVEL, FORMAT = "--log-level", "--log-format"
_SERVERS = ("serve",)
_QUIET = {"level": "warning", "format": "text"}
_SERVED = {"level": "info", "format": "json"}
_SECONDS_BETWEEN = 60.0


@contextmanager
def command_log(command: str, given: Mapping[str, str]) -> Iterator[None]:
    """Inside, the log is written as is set, and what fails in it is kept.

    Args:
        command: The command that runs.
        given: Keys of the table ``log`` that were given as options.

    Raises:
        ConfigError: The level or format is none, or a nanoaccel.toml is wrong.
    """
    _check(given)
    try:
        set_here = resolve("log", given)
    except ConfigError:
        if command != "doctor":  # which is to say what is wrong
            raise
        set_here = Resolved({key: Found(value, "argument") for key, value in given.items()})
    values = {**log_defaults(command), **cast("dict[str, str]", set_here.values)}
    with written_log(values["level"], cast(Format, values["format"]), _Keeper(command)):
        yield


def log_defaults(command: str) -> Mapping[str, str]:
    """Level and format of a command where nobody has set them."""
    return _SERVED if command in _SERVERS else _QUIET


def _check(given: Mapping[str, str]) -> None:
    for key, option in (("level", LEVEL), ("format", FORMAT)):
        if key in given:
            check_argument(f"log.{key}", option, given[key])


class _Keeper(logging.Handler):
    """Keeps the exceptions that are logged, each kind once a minute."""

    def __init__(self, command: str) -> None:
        super().__init__(logging.ERROR)
        self._command = command
        self._kept: dict[tuple[type[BaseException], int | None], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return
        trace = error.__traceback__
        kind = type(error), None if trace is None else trace.tb_lineno
        now = time.monotonic()
        if now - self._kept.get(kind, -_SECONDS_BETWEEN) < _SECONDS_BETWEEN:
            return
        self._kept[kind] = now
        from nanoaccel.failures import keep_failure

        keep_failure(error, self._command)
