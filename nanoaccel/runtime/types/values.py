"""Takes what users give as numbers, switches, names and folders, or refuses it by name."""

from __future__ import annotations

import math
import operator
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from nanoaccel.errors import ConfigError, NanoAccelError

Refusal = type[NanoAccelError]

_EXACT = 1 << 53
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def as_int(name: str, value: object, error: Refusal = ConfigError) -> int:
    """A whole number; 8.0 is one, a text or a bool is none.

    Raises:
        NanoAccelError: It is none; of the kind ``error``.
    """
    if not isinstance(value, bool | np.bool_):
        try:
            return operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            if isinstance(value, Real) and float(value).is_integer():
                return int(float(value))
    raise error(f"{name}={value!r:.80} is not a whole number", _number_remedy(name, value, "8"))


def as_float(name: str, value: object, error: Refusal = ConfigError) -> float:
    """A number; a text or a bool is none. One that is whole stays an int.

    Raises:
        NanoAccelError: It is none; of the kind ``error``.
    """
    if not isinstance(value, bool | np.bool_) and isinstance(value, Real):
        if isinstance(value, int | np.integer) and abs(value) < _EXACT:
            return int(value)
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf  # type: ignore[operator]
    raise error(f"{name}={value!r:.80} is not a number", _number_remedy(name, value, "0.7"))


def as_bool(name: str, value: object, error: Refusal = ConfigError) -> bool:
    """True or False.

    Raises:
        NanoAccelError: It is neither; of the kind ``error``.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise error(f"{name}={value!r:.80} is neither True nor False", f"Write {name}=True or False")


def as_text(name: str, value: object, error: Refusal = ConfigError) -> str:
    """A string.

    Raises:
        NanoAccelError: It is none; of the kind ``error``.
    """
    if isinstance(value, str):
        return value
    raise error(f"{name}={value!r:.80} is not a string", "Put it in quotes")


def as_path(name: str, value: object) -> Path:
    """A path, of a string or of what stands for one.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(value, str | os.PathLike) and isinstance(text := os.fspath(value), str):
        if text:
            return Path(text)
        raise ConfigError(f"{name} is an empty string", "Name a folder")
    raise ConfigError(f"{name}={value!r:.80} is not a path", "Give it as a string or a Path")


def as_paths(name: str, value: object) -> dict[str, Path]:
    """Paths by name.

    Raises:
        ConfigError: It is no mapping, or a value no path.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{name}={value!r:.80} is not a dict", f'Write {name}={{"name": "folder"}}'
        )
    return {
        as_text(f"{name}'s key", key): as_path(f"{name}[{key!r}]", path)
        for key, path in value.items()
    }


def items_of(name: str, value: object, error: Refusal = ConfigError) -> tuple[object, ...]:
    """The items of a list, a tuple or a set.

    Raises:
        NanoAccelError: It is none of them; of the kind ``error``.
    """
    if not isinstance(value, str | bytes | Mapping):
        try:
            return tuple(value)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise error(f"{name}={value!r:.80} is not a list", f"Write {name}=[...]")


def take_types(options: Any, types: Mapping[str, Callable[[str, Any], object]]) -> None:
    """Put the default where there is None, and take all else as what it must be."""
    for item in fields(options):
        value = getattr(options, item.name)
        take = types.get(item.name)
        if value is None:
            value = item.default
        elif take is not None:
            value = take(item.name, value)
        object.__setattr__(options, item.name, value)


def _number_remedy(name: str, value: object, example: str) -> str:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return f"Give it without quotes: {name}={value.strip()}"
    return f"Give a number: {name}={example}"
