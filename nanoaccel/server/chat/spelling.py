"""Texts as a model's tokenizer writes them, in grammars."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping


class Spelling:
    """Writes literals as Lark expressions; what is one token of its own becomes that token.

    Args:
        added_tokens: Tokens that are taken out of a text as they are, with their ids.
    """

    def __init__(self, added_tokens: Mapping[str, int]) -> None:
        self._ids = added_tokens
        longest_first = sorted(added_tokens, key=len, reverse=True)
        # Without tokens, a pattern that is found nowhere.
        pattern = "|".join(map(re.escape, longest_first)) if longest_first else r"(?!)"
        self._tokens = re.compile(f"({pattern})")

    def literal(self, text: str) -> str:
        """An expression for exactly this text."""
        pieces = [piece for piece in self._tokens.split(text) if piece]
        if not pieces:
            return '""'
        return " ".join(
            f"<[{self._ids[piece]}]>" if piece in self._ids else quoted(piece) for piece in pieces
        )

    def until(self, rule: str, mark: str) -> str:
        """Rules of a name that stands for any text up to a mark and with it.

        A mark that is a token ends the text when it is spelled with others, too.
        """
        lazy = f"/(.|\\n)*{escaped(mark)}/"
        if mark not in self._ids:
            return f"{rule}[lazy]: {lazy}\n"
        return (
            f"{rule}: {rule.upper()}? <[{self._ids[mark]}]> | {rule}_spelled\n"
            f"{rule}_spelled[lazy]: {lazy}\n{rule.upper()}: /(.|\\n)+/\n"
        )


def quoted(text: str) -> str:
    """A string of Lark."""
    return json.dumps(text, ensure_ascii=False)


def escaped(text: str) -> str:
    """A regular expression for exactly this text."""
    return re.sub(r"([\\.+*?()|\[\]{}^$#&~/-])", r"\\\1", text).replace("\n", "\\n")
