"""Which bundles were made or used on this machine, and when: small files in the cache folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanoaccel.cached_json import file_of, load_or_none, store_json
from nanoaccel.folders import cache_folder, kept_if_possible


@dataclass(frozen=True, slots=True)
class KnownFolder:
    """A folder that was made or used.

    Args:
        folder: Where it was.
        used: When it was opened last, seconds since 1970; None when it never was.
    """

    folder: Path
    used: float | None


def note_made(folder: Path) -> None:
    """Remember a folder that was made."""
    store_json(_entry(folder), {"folder": str(folder.resolve()), "used": None})


def note_used(folder: Path) -> None:
    """Remember that a folder is opened now."""
    store_json(_entry(folder), {"folder": str(folder.resolve()), "used": time.time()})


def last_used(folder: Path) -> float | None:
    """When a folder was opened last, seconds since 1970; None when that is not known."""
    found = load_or_none(_entry(folder), _read)
    return None if found is None else found.used


def known_folders() -> Iterator[KnownFolder]:
    """Those that are still there; the others are forgotten."""
    for entry in sorted(_entries().glob("*.json")):
        found = load_or_none(entry, _read)
        if found is not None and found.folder.is_dir():
            yield found
        else:
            with kept_if_possible():
                entry.unlink(missing_ok=True)


def forget(folder: Path) -> None:
    """Forget a folder that is gone."""
    _entry(folder).unlink(missing_ok=True)


def _entries() -> Path:
    return cache_folder() / "bundles"


def _entry(folder: Path) -> Path:
    return file_of(_entries(), str(folder.resolve()))


def _read(content: Mapping[str, Any]) -> KnownFolder:
    used = content["used"]
    return KnownFolder(Path(content["folder"]), None if used is None else float(used))
