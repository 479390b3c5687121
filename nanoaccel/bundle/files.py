"""Files of a bundle: what each must be, and reading what stands in JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from nanoaccel.errors import BundleDamagedError

_TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "int | None": (int, type(None)),
    "str | None": (str, type(None)),
    "ModelEntry": object,
    "tuple[FileEntry, ...]": tuple,
    "tuple[GraphEntry, ...]": tuple,
    "tuple[HeadGraph, ...]": tuple,
    "tuple[int, ...]": tuple,
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file of the bundle: path with forward slashes, relative to it; bytes; checksum."""

    path: str
    size: int
    sha256: str


def list_files(folder: Path) -> tuple[FileEntry, ...]:
    """Size and checksum of every file below a folder, in order of their paths."""
    return tuple(
        FileEntry(
            path=path.relative_to(folder).as_posix(),
            size=path.stat().st_size,
            sha256=sha256_of(path),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def sha256_of(path: Path) -> str:
    """Checksum of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def checked(kind: type[T], content: Mapping[str, Any]) -> T:
    """Make a dataclass of JSON; TypeError when a key is missing, unknown or of another type."""
    made = kind(**content)
    for entry in fields(made):  # type: ignore[arg-type]
        expected = _TYPES.get(str(entry.type), dict)
        value = getattr(made, entry.name)
        if not isinstance(value, expected) or isinstance(value, bool):
            raise TypeError(f"{entry.name} is {value!r}")
    return made


def check_size(folder: Path, entry: FileEntry) -> None:
    path = inside(folder, entry.path)
    found = path.stat().st_size if path.is_file() else None
    if found is None:
        raise BundleDamagedError(f"{path} is missing", "Copy the bundle again")
    if found != entry.size:
        raise BundleDamagedError(
            f"{path} has {found} bytes, expected {entry.size}", "Copy the bundle again"
        )


def inside(folder: Path, relative: str) -> Path:
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts:
        raise BundleDamagedError(
            f"{folder} names {relative!r}, outside the bundle", "Do not trust it"
        )
    return folder / path


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleDamagedError(f"{path} cannot be read: {error}", "Copy it again") from error
