"""The prompts of benchmarks/prompts: ten of each of eight kinds."""

from __future__ import annotations

from pathlib import Path

from nanoaccel.text import Tokenizer

_FOLDER = Path(__file__).parents[1] / "prompts"


def prompt_kinds() -> list[str]:
    """Names of the kinds."""
    return sorted(path.stem for path in _FOLDER.glob("*.txt"))


def prompts_of(kind: str) -> list[str]:
    """The prompts of a kind."""
    return (_FOLDER / f"{kind}.txt").read_text(encoding="utf-8").strip().split("\n---\n")


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Tokens of a prompt, as a user's message where the model has a chat template."""
    if tokenizer.has_chat_template:
        return tokenizer.encode_chat([{"role": "user", "content": prompt}])
    return tokenizer.encode(prompt)
