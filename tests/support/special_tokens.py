"""Tokenizers that put tokens around a text."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing


def adds_special_tokens(folder: Path, template: str) -> None:
    """Let the tokenizer of a folder write a text as the template says: ``<bos> $A <eos>``."""
    file = str(folder / "tokenizer.json")
    tokenizer = Tokenizer.from_file(file)
    names = [part for part in template.split() if part != "$A"]
    tokenizer.post_processor = TemplateProcessing(
        single=template, special_tokens=[(name, tokenizer.token_to_id(name)) for name in names]
    )
    tokenizer.save(file)
