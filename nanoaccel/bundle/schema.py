"""The version of a manifest's form: major and minor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from nanoaccel.errors import BundleDamagedError, BundleError


class SchemaVersion(NamedTuple):
    """Versions of the same major are read by each other; a minor adds fields that may be ignored.

    Example:
        >>> SchemaVersion.of_json("3.1", Path("nanoaccel.json")) > SchemaVersion(3, 0)
        True
    """

    major: int
    minor: int = 0

    @classmethod
    def of_json(cls, value: object, where: Path) -> SchemaVersion:
        """What stands in a manifest: ``2`` or ``"2.1"``; a number alone is a major.

        Raises:
            BundleDamagedError: It is no version.
        """
        if type(value) is int and value > 0:
            return cls(value)
        if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,5}\.[0-9]{1,6}", value):
            major, minor = value.split(".")
            return cls(int(major), int(minor))
        raise BundleDamagedError(f"{where} has schema version {value!r}", "Export the bundle again")

    def to_json(self) -> int | str:
        """A number alone without a minor, as every NanoAccel reads it."""
        return str(self) if self.minor else self.major

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


SCHEMA = SchemaVersion(3, 0)
"""The newest that this NanoAccel knows."""


def check_readable(version: SchemaVersion, where: Path) -> None:
    """Refuse a manifest of a newer major.

    Raises:
        BundleError: It was written by a newer NanoAccel.
    """
    if version.major > SCHEMA.major:
        raise BundleError(
            f"{where} has schema version {version}; this NanoAccel reads up to {SCHEMA.major}.x",
            "Upgrade with `pip install --upgrade nanoaccel`, or export the bundle again with this "
            "version",
        )


def without_newer(kind: type, content: Mapping[str, Any], version: SchemaVersion) -> dict[str, Any]:
    """What a dataclass knows of an object; fields that a newer minor added are left out."""
    if version <= SCHEMA:
        return dict(content)
    known = {entry.name for entry in fields(kind)}
    return {name: value for name, value in content.items() if name in known}
