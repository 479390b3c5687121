"""How many tokens a text has at least, told without encoding it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import tokenizers  # type: ignore[import-untyped, unused-ignore]

from nanoaccel.text.detokenizer import byte_letters, states_of

_HIGH = bytes(range(0x80, 0x100))
# What the library and Python take for white space, beside that above ASCII.
_SPACES = bytes([*range(0x09, 0x0E), *range(0x1C, 0x21)])
_KEEPING = frozenset({"ByteLevel", "Split", "Metaspace", "Digits"})
_PLAIN_CLASS = re.compile(r"\[([^\]\[\\^&-]+)\]")


class TokenBound:
    """A number of tokens that texts reach, from their bytes and the longest token's.

    It holds for BPE over bytes, or with a token for each byte: there every byte of a text stands
    in some token. Bytes that a tokenizer may drop, or melt into others, are not counted. For
    other tokenizers the number is 0.

    Args:
        backend: The tokenizer.
    """

    __slots__ = ("_dropped", "_longest")

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        vocabulary: Mapping[str, int] = backend.get_vocab(with_added_tokens=False)
        added = list(backend.get_added_tokens_decoder().values())
        before = states_of(backend.pre_tokenizer, "pretokenizers")
        self._longest, self._dropped = 0, b""
        dropped = _dropped_by_normalizers(states_of(backend.normalizer, "normalizers"))
        if any(token.lstrip or token.rstrip for token in added):
            dropped = None if dropped is None else dropped + _SPACES + _HIGH
        is_bytes = any(state["type"] == "ByteLevel" for state in before)
        also = _dropped_letters(before, vocabulary) if is_bytes else _dropped_characters(before)
        fits = isinstance(backend.model, tokenizers.models.BPE)
        if not is_bytes:
            fits = fits and backend.model.byte_fallback
            fits = fits and all(f"<0x{byte:02X}>" in vocabulary for byte in range(256))
        if not fits or dropped is None or also is None:
            return
        self._dropped = dropped + also
        lengths = [len(token) if is_bytes else len(token.encode()) for token in vocabulary]
        self._longest = max([1, *lengths, *(len(token.content.encode()) for token in added)])

    def of(self, text: str) -> int:
        """Tokens that a text has at least; 0 where nothing is known."""
        if self._longest == 0:
            return 0
        kept = text.encode(errors="ignore").translate(None, self._dropped)
        return -(-len(kept) // self._longest)


def _dropped_by_normalizers(states: list[dict[str, Any]]) -> bytes | None:
    """Bytes of which normalizers may leave fewer; None where that can be any."""
    dropped = b""
    for state in states:
        if state["type"] == "NFC":  # a letter and its marks become one; ASCII stays in number
            dropped += _HIGH
        elif state["type"] == "Replace":
            if state["pattern"].get("String") != " " or not state["content"]:
                return None
        elif state["type"] != "Prepend":
            return None
    return dropped


def _dropped_characters(states: list[dict[str, Any]]) -> bytes | None:
    """Bytes that a text is split without, where tokens are spelled as the text is."""
    keeps = all(state["type"] in _KEEPING and not _removes(state) for state in states)
    return b"" if keeps else None


def _dropped_letters(states: list[dict[str, Any]], vocabulary: Mapping[str, int]) -> bytes | None:
    """Bytes that a text is split without, or that no token spells, with bytes as letters."""
    byte_of = byte_letters()
    dropped = {byte for letter, byte in byte_of.items() if letter not in vocabulary}
    in_letters = False
    for state in states:
        in_letters = in_letters or state["type"] == "ByteLevel"
        if state["type"] not in _KEEPING:
            return None
        if _removes(state):
            found = _PLAIN_CLASS.fullmatch(state["pattern"].get("Regex", ""))
            if not in_letters or state["invert"] or found is None:
                return None
            dropped.update(byte_of[letter] for letter in found[1] if letter in byte_of)
    return bytes(dropped)


def _removes(state: Mapping[str, object]) -> bool:
    return state["type"] == "Split" and state["behavior"] == "Removed"
