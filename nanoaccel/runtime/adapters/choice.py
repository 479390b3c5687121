"""An adapter as a command names it: by its name in the bundle, or by its folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nanoaccel.errors import ConfigError


@dataclass(frozen=True, slots=True)
class AdapterChoice:
    """What was named.

    Args:
        name: What requests call it.
        folder: Where it is; None where the bundle holds it.
    """

    name: str
    folder: Path | None = None

    @classmethod
    def parse(cls, text: str) -> AdapterChoice:
        """Take ``NAME``, ``FOLDER`` or ``NAME=FOLDER``.

        Raises:
            ConfigError: It is a path, and there is no such folder.
        """
        name, equals, path = text.partition("=")
        if not equals or Path(text).is_dir():
            name, path = "", text
        folder = Path(path).expanduser()
        if folder.is_dir():
            return cls(name or _name_of(folder), folder)
        if equals or len(folder.parts) > 1:
            raise ConfigError(
                f"adapter {text!r}: {folder} is not a folder",
                "Name an adapter's folder, or one of the bundle's adapters",
            )
        return cls(text)

    @property
    def folders(self) -> dict[str, Path] | None:
        """What ``LLM(adapters=...)`` is given so that it is there."""
        return None if self.folder is None else {self.name: self.folder}


def _name_of(folder: Path) -> str:
    """The folder's name, without what a name cannot have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).lstrip(".") or "adapter"
