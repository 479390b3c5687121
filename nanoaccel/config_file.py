"""nanoaccel.toml: what a project or a user has set once for all."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nanoaccel.closest import did_you_mean
from nanoaccel.errors import ConfigError

NAME = "nanoaccel.toml"
VARIABLE = "NANOACCEL_CONFIG"
_KEYS = ("disable",)
_LINE = re.compile(r"at line (\d+)")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What one file says.

    Args:
        path: The file.
        values: Its keys, of known names; tables are mappings.
    """

    path: Path
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the files say together, the project's before the user's.

    Args:
        files: Those that there are, the first that counts first.
        disable: Plugins that are not used, of all files.
    """

    files: tuple[ConfigFile, ...]
    disable: tuple[str, ...]


def read_config() -> Settings:
    """Read the files that count here.

    Raises:
        ConfigError: One cannot be read, is no TOML, or has an unknown key.
    """
    files = tuple(ConfigFile(path, _read(path, _stamp(path))) for path in config_paths())
    disable = [name for file in files for name in file.values.get("disable", ())]
    return Settings(files, tuple(disable))


def config_paths() -> list[Path]:
    """The files that count here.

    ``NANOACCEL_CONFIG`` names one that counts alone, or none when it is empty. Else the first
    nanoaccel.toml in this folder and those above it, then that of the user.

    Raises:
        ConfigError: The file that ``NANOACCEL_CONFIG`` names does not exist.
    """
    named = os.environ.get(VARIABLE)
    if named is not None:
        if named and not Path(named).is_file():
            raise ConfigError(f"{VARIABLE}={named} is no file", "Mend it, or leave it empty")
        return [Path(named)] if named else []
    here = Path.cwd()
    project = next((f / NAME for f in (here, *here.parents) if (f / NAME).is_file()), None)
    user = user_file()
    found = [project] if project is not None else []
    return [*found, user] if user.is_file() and user != project else found


def user_file() -> Path:
    """The user's file, which may not exist."""
    if sys.platform == "win32":
        roaming = os.environ.get("APPDATA")
        folder = Path.home() / "AppData/Roaming" if roaming is None else Path(roaming)
    elif sys.platform == "darwin":
        folder = Path.home() / "Library/Application Support"
    else:
        xdg = os.environ.get("XDG_CONFIG_HOME")
        folder = Path(xdg) if xdg else Path.home() / ".config"
    return folder / "nanoaccel" / NAME


def parse_toml(path: Path, text: str, what: str) -> Mapping[str, Any]:
    """What a TOML file says.

    Args:
        path: The file, for messages.
        text: What stands in it.
        what: What it is, for messages.

    Raises:
        ConfigError: It is broken, or this Python cannot read TOML.
    """
    try:  # Python has a parser from 3.11 on
        toml: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{what} {path} cannot be read: this Python has no parser of TOML", "Install tomli"
        ) from error
    try:
        values: Mapping[str, Any] = toml.loads(text)
    except toml.TOMLDecodeError as error:
        match = _LINE.search(str(error))
        line = text.count("\n") + 1 if match is None else int(match[1])
        reason = str(error).partition(" (at ")[0]
        raise ConfigError(
            f"{what} {path} is broken in line {line}: {reason}", "Mend that line"
        ) from error
    return values


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=4)
def _read(path: Path, stamp: tuple[int, int]) -> Mapping[str, Any]:  # noqa: ARG001 - its version
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    values = parse_toml(path, text, "config")
    for key in values:
        if key not in _KEYS:
            raise ConfigError(f"{path}: {key} is unknown", did_you_mean(key, list(_KEYS)))
    names = values.get("disable", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"{path}: disable={names!r:.80} has the wrong type", 'Write disable = ["name"]'
        )
    return MappingProxyType(dict(values))


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
    return ConfigError(f"config {path} cannot be read: {reason}", "Mend or remove the file")
