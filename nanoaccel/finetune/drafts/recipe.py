"""What draft is trained, and how long."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from nanoaccel.errors import ConfigError

Kind: TypeAlias = Literal["head", "layers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRecipe:
    """What to train and how long.

    Args:
        kind: "head" reads what the target computes; "layers" is a model of its own, some of the
            target's layers.
        tokens: Tokens that the target writes to learn from.
        epochs: Times that they are learned.
        vocabulary: Tokens that a head can propose.
        layers: Layers that a model keeps.
        text: A file to learn from instead of what the target writes.
        start: A head to begin with, for a target of the same sizes.
        seed: Seed of prompts, sampling and order.

    Raises:
        ConfigError: A value is out of range.
    """

    kind: Kind = "head"
    tokens: int = 700_000
    epochs: int = 6
    vocabulary: int = 8192
    layers: int = 6
    text: Path | None = None
    start: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("head", "layers"):
            raise ConfigError(f"kind={self.kind!r} is unknown", "Choose head or layers")
        for name in ("tokens", "epochs", "vocabulary"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} is out of range", "Give 1 or more")
        if self.text is not None and not self.text.is_file():
            raise ConfigError(f"text={str(self.text)!r} is no file", "Name a text file")
        if self.start is not None and self.kind != "head":
            raise ConfigError("only a head can start from another", "Leave --start out")
