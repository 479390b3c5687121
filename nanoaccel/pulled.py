"""What was pulled from the hub, by its name: a small file in the cache folder says where it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nanoaccel.cached_json import file_of, load_or_none, write_json
from nanoaccel.folders import cache_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledFile:
    """A file as the hub has it.

    Args:
        path: Relative to the folder, with forward slashes.
        size: Bytes.
        sha256: Checksum, of files that the hub keeps apart from git; None for others.
        git: git's checksum of the others (SHA-1 over a header and the bytes).
    """

    path: str
    size: int
    sha256: str | None = None
    git: str | None = None

    def problem(self, folder: Path, *, thorough: bool) -> str | None:
        """What is wrong with it in a folder; None when it is whole.

        Args:
            folder: Where it should be.
            thorough: Whether its bytes are read, and not its size alone.
        """
        path = folder / self.path
        if not path.is_file():
            return f"{path} is missing"
        size = path.stat().st_size
        if size != self.size:
            return f"{path} has {size} bytes, expected {self.size}"
        expected = self.git if self.sha256 is None else self.sha256
        if thorough and expected is not None and self._checksum(path) != expected:
            return f"{path} is not what the hub has: its checksum differs"
        return None

    def _checksum(self, path: Path) -> str:
        if self.sha256 is not None:
            digest = hashlib.sha256()
        else:
            digest = hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A repository of the hub on this disk.

    Args:
        id: Its name ("org/name", or "org/name@revision").
        commit: The commit that was pulled.
        folder: Where it is.
        files: Its files, as far as they were wanted.
    """

    id: str
    commit: str
    folder: Path
    files: tuple[PulledFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def problem(self, *, thorough: bool) -> str | None:
        """What is wrong with the first file that is not whole; None when all are."""
        found = (file.problem(self.folder, thorough=thorough) for file in self.files)
        return next((problem for problem in found if problem is not None), None)


def find_pulled(name: str) -> Pulled | None:
    """What was pulled by a name; None when nothing was, or its folder is gone."""
    found = load_or_none(_entry(name), _read)
    return None if found is None or not found.folder.is_dir() else found


def pulled_folder(name: str) -> Path | None:
    """The folder of what was pulled by a name; None when there is none."""
    found = find_pulled(name)
    return None if found is None else found.folder


def all_pulled() -> Iterator[Pulled]:
    """Everything that was pulled and whose folder is there."""
    for entry in sorted(_entries().glob("*.json")):
        found = load_or_none(entry, _read)
        if found is not None and found.folder.is_dir():
            yield found


def remember_pulled(pulled: Pulled) -> None:
    """Let a pulled folder be found by its name.

    Raises:
        OSError: The cache folder cannot be written.
    """
    content: dict[str, Any] = {**asdict(pulled), "folder": str(pulled.folder)}
    write_json(_entry(pulled.id), content)


def forget_pulled(folder: Path) -> None:
    """Forget every name of a folder."""
    for entry in _entries().glob("*.json"):
        found = load_or_none(entry, _read)
        if found is not None and found.folder == folder:
            entry.unlink(missing_ok=True)


def usual_folder(name: str) -> Path:
    """Where something is pulled to when no folder is named."""
    return cache_folder() / "models" / name.replace("/", "--").replace("@", "--at--")


def _entries() -> Path:
    return cache_folder() / "pulled"


def _entry(name: str) -> Path:
    return file_of(_entries(), name)


def _read(content: Mapping[str, Any]) -> Pulled:
    return Pulled(
        id=str(content["id"]),
        commit=str(content["commit"]),
        folder=Path(content["folder"]),
        files=tuple(PulledFile(**file) for file in content["files"]),
    )
