"""Amounts of memory, as people write them."""

from __future__ import annotations

import re
from numbers import Real

from nanoaccel.errors import ConfigError

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def parse_bytes(option: str, text: str) -> int:
    """The bytes in a text such as ``512MB``, ``1.5 GiB`` or ``1000000``.

    Raises:
        ConfigError: It is no size; the message names the option.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].upper() not in _UNITS:
        raise ConfigError(f"{option} {text!r} is not a size", "Write it as 512MB, 2GB or 1.5GiB")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def as_bytes(option: str, value: object) -> int:
    """The bytes that a number says, or a text such as ``512MB``.

    Raises:
        ConfigError: It is neither; the message names the option.
    """
    if isinstance(value, str):
        return parse_bytes(option, value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Real) and not isinstance(value, int) and float(value).is_integer():
        return int(float(value))
    raise ConfigError(
        f"{option}={value!r:.80} is not a size", 'Write it in bytes, or as "512MB", "2GB", "1.5GiB"'
    )
