"""The parts of a GGUF file that was split: model-00001-of-00003.gguf and so on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.errors import GGUFError

if TYPE_CHECKING:
    from gguf import GGUFReader

_PART = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")


def find_parts(path: Path) -> tuple[Path, ...]:
    """Every part of the model that a file belongs to, in order; the file alone when it is whole.

    Raises:
        GGUFError: A part is missing.
    """
    match = _PART.match(path.name)
    if match is None:
        return (path,)
    count = int(match["count"])
    parts = tuple(
        path.with_name(f"{match['stem']}-{number:05}-of-{count:05}.gguf")
        for number in range(1, count + 1)
    )
    for part in parts:
        if not part.is_file():
            raise GGUFError(
                f"{path} is one of {count} parts, and {part} is missing", "Download every part"
            )
    return parts


def check_part(path: Path, reader: GGUFReader, number: int, count: int) -> None:
    """Refuse a part that is not what its name says.

    Args:
        path: The part.
        reader: Reader of the file.
        number: Its index, from 0.
        count: How many there are by their names; 1 for a whole file.

    Raises:
        GGUFError: It has another index, or belongs to another number of parts.
    """
    fields = reader.fields
    said = int(fields["split.count"].contents()) if "split.count" in fields else 1
    found = int(fields["split.no"].contents()) if "split.no" in fields else 0
    if max(said, 1) != count or found != number:
        raise GGUFError(
            f"{path} says that it is part {found + 1} of {said}, its name says {number + 1} of "
            f"{count}",
            "Keep the names that the parts were published with (-00001-of-0000N.gguf)",
        )
