"""Small JSON files in the cache folder, for what is measured once; any may be lost or damaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from nanoaccel.folders import kept_if_possible, whole_file

T = TypeVar("T")

_OTHER = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Versions of those of some packages that are installed; part of the key of what is cached."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def file_of(folder: Path, *names: str) -> Path:
    """The path of a cached file.

    Args:
        folder: Folder of all files of the kind.
        names: Names of any length, from the widest to the narrowest; all but the last one are
            folders.
    """
    hashes = [sha256(name.encode()).hexdigest()[:32] for name in names]
    return folder.joinpath(*hashes).with_suffix(".json")


def load_json(file: Path, read: Callable[[Any], T]) -> T:
    """Load a value.

    Args:
        file: As ``store_json`` wrote it.
        read: Makes something of the JSON value, or raises what a wrong one leads to: ValueError,
            KeyError, TypeError, AttributeError.

    Raises:
        OSError: It is not there, or cannot be read.
        ValueError: It is damaged; the message is one line.
    """
    try:
        return read(json.loads(file.read_text(encoding="utf-8")))
    except _OTHER as error:
        lines = str(error).splitlines()
        raise ValueError(lines[0] if lines else type(error).__name__) from error


def load_or_none(file: Path, read: Callable[[Any], T]) -> T | None:
    """The value that ``load_json`` gives; None where it raises, so that it is measured again."""
    try:
        return load_json(file, read)
    except (OSError, ValueError):
        return None


def store_json(file: Path, content: Any) -> None:
    """Write a JSON value, whole or not at all; where that fails, the log says so once."""
    with kept_if_possible():
        write_json(file, content)


def write_json(file: Path, content: Any) -> None:
    """As ``store_json``, for what is not to be lost.

    Raises:
        OSError: It cannot be written.
    """
    with whole_file(file) as partial:
        partial.write_text(json.dumps(content, indent=2), encoding="utf-8")
