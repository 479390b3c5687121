"""What the data sets need of a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class TextEncoder(Protocol):
    """A model's tokenizer and chat template, given by the caller."""

    @property
    def begin_ids(self) -> Sequence[int]:
        """What every text of this model begins with, BOS as a rule; empty when there is none."""
        ...

    def encode(self, text: str) -> list[int]:
        """Tokens of a text; special tokens that stand in it are known, none are added."""
        ...

    def render(self, messages: Sequence[Mapping[str, str]]) -> str | None:
        """A conversation (role, content) as the model reads it.

        None when the model has no chat template, or one that refuses these messages (some know no
        system role): they are then read as plain text.
        """
        ...
