"""Bytes that are written over others of a file; all else of it stays as it is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import UnsupportedModelError


@dataclass(frozen=True, slots=True)
class Place:
    """Where numbers lie in a file; both in bytes.

    Args:
        offset: Their first byte.
        size: How many.
    """

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Patch:
    """New bytes for a place.

    Args:
        place: Where they go.
        data: As many as were there.
    """

    place: Place
    data: bytes


def patch_of(place: Place, numbers: NDArray[Any], name: str) -> Patch:
    """The patch that puts numbers, as they are laid out, into a place.

    Raises:
        UnsupportedModelError: They are more or fewer bytes than the place has.
    """
    data = np.ascontiguousarray(numbers).tobytes()
    if len(data) != place.size:
        raise UnsupportedModelError(
            f"{name} lies in the bundle in {place.size} bytes, and not in {len(data)}",
            "Export the model again, and recover that bundle",
        )
    return Patch(place, data)


def apply(file: Path, patches: Iterable[Patch]) -> None:
    """Write patches into a file, and wait until the disk has them."""
    with file.open("r+b") as opened:
        for patch in patches:
            opened.seek(patch.place.offset)
            opened.write(patch.data)
        opened.flush()
        os.fsync(opened.fileno())


def only_once(places: Mapping[str, Place]) -> dict[str, Place]:
    """Places that no other name shares: what is stored once for several is not written over."""
    owners: dict[int, int] = {}
    for place in places.values():
        owners[place.offset] = owners.get(place.offset, 0) + 1
    return {name: place for name, place in places.items() if owners[place.offset] == 1}
