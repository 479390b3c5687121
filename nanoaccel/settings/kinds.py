"""Kinds of values: how each stands in a variable and in a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanoaccel.errors import ConfigError
from nanoaccel.sizes import parse_bytes

_SWITCHES = {"true": True, "1": True, "yes": True, "on": True}
_SWITCHES |= {"false": False, "0": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value.

    Args:
        example: One, as a file says it.
        take: Makes the value of what a file says; relative paths begin at the folder. Raises
            ValueError.
        parse: Makes of a variable's text what a file would say. Raises ValueError.
        secret: Whether nothing ever shows it.
        public: Whether a report of an error may show it: it names neither folders nor hosts.
    """

    example: str
    take: Callable[[Any, Path], object]
    parse: Callable[[str], object] = str
    secret: bool = False
    public: bool = True


def choice(*names: str) -> Kind:
    """One of several words."""

    def take(value: Any, _: Path) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    return Kind(" or ".join(f'"{name}"' for name in names), take)


def _whole(value: Any, _: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError
    return value


def _number(value: Any, folder: Path) -> float:
    return value if isinstance(value, float) else _whole(value, folder)


def _switch(value: Any, _: Path) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _parse_switch(text: str) -> bool:
    if text.lower() not in _SWITCHES:
        raise ValueError
    return _SWITCHES[text.lower()]


def _text(value: Any, _: Path) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _count(value: Any, folder: Path) -> int | str:
    return "auto" if value == "auto" else _whole(value, folder)


def _parse_count(text: str) -> int | str:
    return "auto" if text == "auto" else int(text)


def _size(value: Any, folder: Path) -> int:
    if not isinstance(value, str):
        return _whole(value, folder)
    try:
        return parse_bytes("", value)
    except ConfigError as error:
        raise ValueError from error


def _path(value: Any, folder: Path) -> Path:
    try:
        return folder / Path(_text(value, folder)).expanduser()
    except RuntimeError as error:  # no home folder
        raise ValueError from error


def _names(value: Any, folder: Path) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError
    return tuple(_text(name, folder) for name in value)


def _parse_names(text: str) -> list[str]:
    return [name for name in re.split(r"[,\s]+", text) if name]


WHOLE = Kind("8", _whole, int)
NUMBER = Kind("0.5", _number, float)
SWITCH = Kind("true", _switch, _parse_switch)
TEXT = Kind('"name"', _text)
ADDRESS = Kind('"127.0.0.1"', _text, public=False)
COUNT = Kind('2 or "auto"', _count, _parse_count)
SIZE = Kind('"2GB"', _size)
PATH = Kind('"folder"', _path, public=False)
NAMES = Kind('["name"]', _names, _parse_names)
HOSTS = Kind('["name"]', _names, _parse_names, public=False)
KEYS = Kind('["key"]', _names, str.split, secret=True, public=False)
