"""What the nanoaccel.toml files say, checked against the table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from nanoaccel.closest import did_you_mean
from nanoaccel.config_file import config_paths, parse_toml
from nanoaccel.errors import ConfigError
from nanoaccel.settings.table import SETTINGS, Setting

_IN_FILES = {setting.name: setting for setting in SETTINGS if setting.in_file}
_TABLES = {setting.table for setting in SETTINGS if setting.table}
_HEADER = re.compile(r"\s*\[\s*([\w-]+)\s*\]")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What one file says.

    Args:
        path: The file.
        values: Checked values by the names of their settings.
        lines: Lines that they stand in, as far as that is seen.
    """

    path: Path
    values: Mapping[str, object]
    lines: Mapping[str, int]

    def place(self, name: str) -> str:
        """Where the value of a setting stands, in words."""
        return _place(self.path, self.lines.get(name))


def read_files() -> tuple[ConfigFile, ...]:
    """The files that count here, the first that counts first.

    Raises:
        ConfigError: One cannot be read or is no TOML, a name in it is unknown, or a value has the
            wrong type.
    """
    return tuple(_read(path, _stamp(path)) for path in config_paths())


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=4)
def _read(path: Path, stamp: tuple[int, int]) -> ConfigFile:  # noqa: ARG001 - its version
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    found = _flatten(path, parse_toml(path, text, "config"), text)
    lines = {name: line for name in found if (line := line_of(text, name)) is not None}
    values = {
        name: _take(_known(name, path, lines), value, path, lines) for name, value in found.items()
    }
    return ConfigFile(path, values, lines)


def line_of(text: str, name: str) -> int | None:
    """The line in which a key stands, from 1; None where it is written in an unusual way.

    Args:
        text: The file.
        name: Table and key, or a key outside of tables.
    """
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header is not None:
            table = header[1]
        key = re.sub(r"[\s\"']", "", line.partition("=")[0])
        if "=" in line and (f"{table}.{key}" if table else key) == name:
            return number
    return None


def _flatten(path: Path, content: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Values by table and key."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if key in _TABLES:
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{_place(path, line_of(text, key))}: {key} is a table", f"Write [{key}]"
                )
            found |= {f"{key}.{name}": item for name, item in value.items()}
        else:
            found[key] = value
    return found


def _known(name: str, path: Path, lines: Mapping[str, int]) -> Setting:
    if name not in _IN_FILES:
        raise ConfigError(f"{_place(path, lines.get(name))}: {name} is unknown", _closest(name))
    return _IN_FILES[name]


def _closest(name: str) -> str:
    """The closest name; a key that is known in one table is meant there."""
    table, _, key = name.rpartition(".")
    homes = [known for known, setting in _IN_FILES.items() if setting.key == key]
    if homes:
        return f"Did you mean {homes[0]!r}?"
    beside = [known for known, setting in _IN_FILES.items() if setting.table == table]
    return did_you_mean(name, sorted(beside if table else [*beside, *_TABLES]))


def _take(setting: Setting, value: object, path: Path, lines: Mapping[str, int]) -> object:
    try:
        return setting.kind.take(value, path.parent)
    except (TypeError, ValueError):
        shown = "" if setting.kind.secret else f"={value!r:.80}"
        raise ConfigError(
            f"{_place(path, lines.get(setting.name))}: {setting.name}{shown} has the wrong type",
            f"Write {setting.key} = {setting.kind.example}",
        ) from None


def _place(path: Path, line: int | None) -> str:
    return str(path) if line is None else f"{path}, line {line}"


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
    return ConfigError(f"config {path} cannot be read: {reason}", "Mend or remove the file")
