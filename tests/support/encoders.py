"""A tokenizer that can be read by eye: a character is a token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


class CharacterEncoder:
    """Tokens are code points.

    Args:
        begin: What every text begins with.
        chat: Whether there is a chat template: ``[user]Hi|[assistant]Hello|``.
    """

    def __init__(self, begin: str = "", *, chat: bool = False) -> None:
        self.begin_ids = self.encode(begin)
        self._chat = chat

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def render(self, messages: Sequence[Mapping[str, str]]) -> str | None:
        if not self._chat:
            return None
        return "".join(f"[{message['role']}]{message['content']}|" for message in messages)


def decode(token_ids: Iterable[int]) -> str:
    """The text of tokens."""
    return "".join(chr(token) for token in token_ids)
