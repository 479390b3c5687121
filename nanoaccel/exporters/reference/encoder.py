"""A model's tokenizer and chat template, as calibration and judging need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers  # type: ignore[import-untyped, unused-ignore]

from nanoaccel.errors import MissingExtraError, SourceError

_PROBE = "a"


class HubEncoder:
    """Reads tokenizer.json; only conversations need transformers, for the chat template.

    Args:
        folder: Where tokenizer.json and its companions are: a model's, or a bundle.

    Raises:
        SourceError: There is no tokenizer.json, or it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = folder / "tokenizer.json"
        try:
            self._backend = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises Exception itself
            raise SourceError(
                f"{path} is no tokenizer that can be read", "Take the file of the model again"
            ) from error
        # How a text was cut in training is no part of the model.
        self._backend.no_truncation()
        self._backend.no_padding()

    @cached_property
    def begin_ids(self) -> list[int]:
        """Tokens that the tokenizer puts before every text: BOS, or none."""
        plain = self.encode(_PROBE)
        whole: list[int] = self._backend.encode(_PROBE).ids
        begins = range(len(whole) - len(plain) + 1)
        begin = next((p for p in begins if whole[p : p + len(plain)] == plain), 0)
        return whole[:begin]

    def encode(self, text: str) -> list[int]:
        """Tokens of a text; special tokens that stand in it are known, none are added."""
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def vocabulary(self) -> dict[str, int]:
        """All tokens with their ids."""
        found: dict[str, int] = self._backend.get_vocab()
        return found

    def render(
        self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool = False
    ) -> str | None:
        """A conversation as the model reads it; None without a template, or one that takes it.

        Args:
            messages: Each with a role and content.
            add_generation_prompt: End with what starts the model's answer.

        Raises:
            MissingExtraError: transformers is not installed.
        """
        from jinja2 import TemplateError

        if self._templates.chat_template is None:
            return None
        try:
            text: str = self._templates.apply_chat_template(
                [dict(message) for message in messages],
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
            )
        except (TemplateError, TypeError, ValueError, KeyError):
            return None
        return text

    @cached_property
    def _templates(self) -> Any:
        try:
            from transformers import PreTrainedTokenizerFast
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"a chat template needs {error.name}, which is not installed",
                'Install it: pip install "nanoaccel[export]"',
            ) from error
        return PreTrainedTokenizerFast.from_pretrained(self._folder)
