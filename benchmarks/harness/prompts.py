"""The prompts of benchmarks/prompts: ten of each of eight kinds; and ``unseen`` ones.

No figure of the engine was ever chosen by the unseen ones. They ask for what Spec-Bench (Xia et al.
2024) asks for: dialogues of two turns, translation, summaries, questions, arithmetic, and answers
out of documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nanoaccel.text import Tokenizer

_FOLDER = Path(__file__).parents[1] / "prompts"
_BETWEEN_PROMPTS, _BETWEEN_TURNS = "\n---\n", "\n+++\n"


def prompt_kinds() -> list[str]:
    """Names of the kinds."""
    return sorted(path.stem for path in _FOLDER.glob("*.txt"))


def prompts_of(kind: str) -> list[str]:
    """The prompts of a kind."""
    return (_FOLDER / f"{kind}.txt").read_text(encoding="utf-8").strip().split(_BETWEEN_PROMPTS)


def unseen_dialogues() -> dict[str, list[list[str]]]:
    """By kind, dialogues: what the user says in each turn."""
    return {
        path.stem: [
            dialogue.split(_BETWEEN_TURNS)
            for dialogue in path.read_text(encoding="utf-8").strip().split(_BETWEEN_PROMPTS)
        ]
        for path in sorted((_FOLDER / "unseen").glob("*.txt"))
    }


def encode_dialogue(
    tokenizer: Tokenizer, asked: Sequence[str | list[int]], answered: Sequence[str]
) -> list[int]:
    """Tokens of a dialogue up to its last question; one of token ids is taken as it is.

    Args:
        tokenizer: Of the model.
        asked: What the user said, one more than was answered.
        answered: What the model answered.
    """
    if not isinstance(asked[-1], str):
        return asked[-1]
    if not tokenizer.has_chat_template:
        parts = [part for pair in zip(asked, [*answered, ""], strict=True) for part in pair]
        return tokenizer.encode("\n".join(map(str, parts)))
    messages = [{"role": "user", "content": asked[0]}]
    for answer, question in zip(answered, asked[1:], strict=True):
        messages += [
            {"role": "assistant", "content": answer},
            {"role": "user", "content": question},
        ]
    return tokenizer.encode_chat(messages)


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Tokens of a prompt, as a user's message where the model has a chat template."""
    if tokenizer.has_chat_template:
        return tokenizer.encode_chat([{"role": "user", "content": prompt}])
    return tokenizer.encode(prompt)
