"""A model's tokenizer and chat template, as calibration and judging need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from nanoaccel.errors import BundleError, RequestError, SourceError
from nanoaccel.text import ChatOptions, Tokenizer

_PROBE = "a"


class ModelEncoder:
    """Encodes texts and conversations as the runtime does; a ``TextEncoder`` for data sets.

    Args:
        folder: Where tokenizer.json and its companions are: a model's, or a bundle.

    Raises:
        SourceError: There is no tokenizer.json, or it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._tokenizer = Tokenizer.load(folder)
        except BundleError as error:
            raise SourceError(
                f"{folder / 'tokenizer.json'} is no tokenizer that can be read: {error}",
                "Take the file of the model again",
            ) from error

    @cached_property
    def begin_ids(self) -> list[int]:
        """What the tokenizer puts before every text: BOS, or nothing."""
        plain = self.encode(_PROBE)
        whole = self._tokenizer.encode(_PROBE)
        begins = range(len(whole) - len(plain) + 1)
        index = next((i for i in begins if whole[i : i + len(plain)] == plain), 0)
        return whole[:index]

    def encode(self, text: str) -> list[int]:
        """Tokens of a text; special tokens that stand in it are known, none are added."""
        return self._tokenizer.encode(text, add_special_tokens=False)

    def vocabulary(self) -> dict[str, int]:
        """All tokens with their ids."""
        return self._tokenizer.vocabulary()

    def render(
        self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool = False
    ) -> str | None:
        """A conversation as the model reads it; None without a template that takes it.

        Args:
            messages: Each with a role and content.
            add_generation_prompt: End with what starts the model's answer.
        """
        options = ChatOptions(add_generation_prompt=add_generation_prompt)
        try:
            return self._tokenizer.render_chat(messages, options)
        except (RequestError, BundleError):
            return None
