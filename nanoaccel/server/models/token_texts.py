"""Single tokens as text and as bytes, for log-probabilities."""

from __future__ import annotations

import re
from functools import cached_property

from nanoaccel.text import Tokenizer

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_BROKEN = "\ufffd"


class TokenTexts:
    """Texts of tokens, kept once they were asked for.

    Args:
        tokenizer: The model's.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._texts: dict[int, str] = {}

    def text(self, token: int) -> str:
        """What a token adds to a text that it stands in; a part of a character is U+FFFD."""
        found = self._texts.get(token)
        if found is None:
            # After another token: at the start of a text, some tokenizers drop its space.
            alone = self._tokenizer.decode([token], skip_special_tokens=False)
            twice = self._tokenizer.decode([token, token], skip_special_tokens=False)
            found = self._texts[token] = twice[len(alone) :]
        return found

    def utf8(self, token: int) -> bytes:
        """The bytes of a token, of a part of a character too."""
        text = self.text(token)
        if _BROKEN not in text:
            return text.encode("utf-8", "replace")
        spelling = self._tokenizer.spelling(token)
        spelling = "" if spelling is None else spelling
        byte = _BYTE.fullmatch(spelling)
        if byte is not None:
            return bytes([int(byte[1], 16)])
        return bytes(self._bytes_of_letters.get(letter, 0x3F) for letter in spelling)

    @cached_property
    def _bytes_of_letters(self) -> dict[str, int]:
        """The letters by which byte-level tokenizers write bytes (GPT-2's table)."""
        own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [byte for byte in range(256) if byte not in set(own)]
        letters = {chr(byte): byte for byte in own}
        return letters | {chr(256 + place): byte for place, byte in enumerate(others)}
