"""Tokenizers with a chat template of choice, and data to learn from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nanoaccel.testing import tiny_models
from nanoaccel.text import Tokenizer


def tokenizer_with(folder: Path, template: str | None) -> Tokenizer:
    """The tiny models' tokenizer with a chat template."""
    tiny_models.write_tokenizer(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config.pop("chat_template", None)
    path.write_text(json.dumps(config))
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return Tokenizer.load(folder)


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def letters(count: int = 40) -> list[dict[str, str]]:
    """A task that a tiny model learns: a letter is repeated."""
    return [
        {"prompt": f"{'abcdefgh'[i % 8]} {i}", "completion": "abcdefgh"[i % 8] * (2 + i % 9)}
        for i in range(count)
    ]
