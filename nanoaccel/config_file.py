"""Where nanoaccel.toml is looked for, and how TOML is read."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from nanoaccel.errors import ConfigError

NAME = "nanoaccel.toml"
VARIABLE = "NANOACCEL_CONFIG"
_LINE = re.compile(r"at line (\d+)")


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
    try:
        here = Path.cwd()
        places = [folder / NAME for folder in (here, *here.parents)]
    except OSError:  # the folder is gone
        places = []
    found = [path for path in places if path.is_file()][:1]
    try:
        user = user_file()
    except RuntimeError:  # a user without a home folder
        return found
    return [*found, user] if user.is_file() and user not in found else found


def user_file() -> Path:
    """The user's file, which may not exist.

    Raises:
        RuntimeError: The user has no home folder.
    """
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
