"""Text from token ids as they come, never half a character.

`tokenizers.decoders.DecodeStream` does not serve: it has no flush, with byte fallback it shows
characters that a later byte takes back or raises "Invalid prefix" (seen with 0.22.2), and it
decodes an endless invalid sequence again at every step.
"""

from __future__ import annotations

import codecs
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import tokenizers  # type: ignore[import-untyped, unused-ignore]

_UTF8 = codecs.getincrementaldecoder("utf-8")
_LONGEST_CHARACTER = 4  # bytes
_REPLACEMENT = "\ufffd"
_BYTE_TOKEN = re.compile("<0x([0-9A-Fa-f]{2})>")


class Detokenizer(ABC):
    """Decodes one sequence of token ids piece by piece.

    All that `push` and `flush` return, joined, is the tokenizer's text of all ids, without special
    tokens where these are hidden. Each token is decoded a bounded number of times.
    """

    __slots__ = ()

    @abstractmethod
    def follow(self, token_ids: Sequence[int]) -> None:
        """Take the tokens that stand before the sequence, first of all.

        What is returned from then on is what the sequence adds to their text: with SentencePiece
        the space between two words is part of the second one, and is lost at a text's beginning.
        """

    @abstractmethod
    def push(self, token_ids: Sequence[int]) -> str:
        """The text that became certain with these tokens."""

    @abstractmethod
    def pending(self) -> str:
        """The text that is held back now, as it is if nothing more comes."""

    @abstractmethod
    def flush(self) -> str:
        """The text held back, at the end of all tokens."""


def detokenizers_of(
    backend: tokenizers.Tokenizer, hidden: frozenset[str] | None = None
) -> Callable[[], Detokenizer]:
    """What makes a detokenizer for each request; what it learns of tokens, all share.

    Args:
        backend: Knows the tokens.
        hidden: Spellings of tokens that are left out of the text; None: of all special ones.

    Byte-level BPE is exact for any ids. So are the chain of SentencePiece models (Replace,
    ByteFallback, Fuse, Strip of one leading space), Metaspace and WordPiece. Other decoders are
    exact where a token's text depends on the token before it at most.
    """
    types = [state["type"] for state in states_of(backend.decoder, "decoders")]
    hidden = special_tokens(backend) if hidden is None else hidden
    if types == ["ByteLevel"]:
        return partial(_ByteLevelDetokenizer, _TokenBytes(backend, hidden))
    return partial(_WindowDetokenizer, _Tokens(backend, hidden, "ByteFallback" in types))


class _ByteLevelDetokenizer(Detokenizer):
    """Joins the bytes of tokens; an incomplete character waits for at most three more bytes."""

    __slots__ = ("_bytes_of", "_decoder")

    def __init__(self, token_bytes: _TokenBytes) -> None:
        self._bytes_of = token_bytes.__getitem__
        self._decoder = _UTF8(errors="replace")

    def follow(self, token_ids: Sequence[int]) -> None:
        tail = b""
        for token_id in reversed(token_ids):
            tail = self._bytes_of(token_id) + tail
            if len(tail) >= _LONGEST_CHARACTER:
                break
        self._decoder.decode(tail)

    def push(self, token_ids: Sequence[int]) -> str:
        return self._decoder.decode(b"".join(map(self._bytes_of, token_ids)))

    def pending(self) -> str:
        return self._decoder.getstate()[0].decode(errors="replace")

    def flush(self) -> str:
        return self._decoder.decode(b"", True)


class _TokenBytes(dict[int, bytes]):
    """Token id to the bytes it stands for; none for hidden and unknown ids."""

    def __init__(self, backend: tokenizers.Tokenizer, hidden: frozenset[str]) -> None:
        super().__init__()
        self._backend = backend
        self._hidden = hidden
        self._byte_of = byte_letters()

    def __missing__(self, token_id: int) -> bytes:
        token = self._backend.id_to_token(token_id)
        if token is None or token in self._hidden:
            value = b""
        elif all(character in self._byte_of for character in token):
            value = bytes(self._byte_of[character] for character in token)
        else:
            # An added token is text, not letters of the byte alphabet.
            value = token.encode()
        self[token_id] = value
        return value


class _WindowDetokenizer(Detokenizer):
    """Decodes each token behind the one before it, and shows what that adds.

    A run of byte tokens is one thing to the ByteFallback decoder: text if all of it is UTF-8,
    otherwise U+FFFD for every byte. So a run waits until it ends or turns out to be invalid.
    """

    __slots__ = ("_before", "_broken", "_decode", "_shown", "_tokens", "_utf8", "_window")

    def __init__(self, tokens: _Tokens) -> None:
        self._decode = tokens.decode
        self._tokens = tokens
        # The last token that was shown, then those that wait.
        self._window: list[int] = []
        self._shown = 0
        self._before: str | None = None
        self._utf8 = _UTF8()
        self._broken = False

    def follow(self, token_ids: Sequence[int]) -> None:
        start = len(token_ids)
        for start in range(len(token_ids) - 1, -1, -1):
            token = self._tokens[token_ids[start]]
            if token.byte is None and not token.hidden:
                break
        self.push(token_ids[start:])
        # A run of bytes at the end may turn out to be other text, and is then part of the sequence.
        self._before = self._decode(self._window)

    def push(self, token_ids: Sequence[int]) -> str:
        window, invalid, certain = self._window, "", 0
        for token_id in token_ids:
            token = self._tokens[token_id]
            if token.hidden:
                continue
            if token.byte is None:
                self._broken = False
                self._utf8.reset()
            elif self._broken and not certain:
                # The run began in an earlier push: its first bytes left the window.
                invalid += _REPLACEMENT
                continue
            elif not self._broken:
                self._broken = not self._continues(token.byte)
            window.append(token_id)
            if token.byte is None or self._broken:
                certain = len(window)
        if not certain:
            return invalid
        text = self._unshown(certain)
        self._before = None
        self._shown = len(self._tokens[window[certain - 1]].text)
        del window[: certain - 1]
        return invalid + text

    def pending(self) -> str:
        return self._unshown(len(self._window))

    def flush(self) -> str:
        text = self.pending()
        self._window.clear()
        self._before, self._shown = None, 0
        return text

    def _unshown(self, end: int) -> str:
        text = self._decode(self._window[:end])
        if self._before is not None:
            return text[_common_length(self._before, text) :]
        return text[self._shown :]

    def _continues(self, byte: bytes) -> bool:
        try:
            self._utf8.decode(byte)
        except UnicodeDecodeError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Token:
    """What a window must know of a token: whether decoding skips it, its byte, its text alone."""

    hidden: bool
    byte: bytes | None
    text: str


class _Tokens(dict[int, _Token]):
    """Token id to what a window must know of it."""

    def __init__(
        self, backend: tokenizers.Tokenizer, hidden: frozenset[str], byte_fallback: bool
    ) -> None:
        super().__init__()
        self._backend = backend
        self._byte_fallback = byte_fallback
        self._hidden = hidden

    def __missing__(self, token_id: int) -> _Token:
        name = self._backend.id_to_token(token_id)
        match = _BYTE_TOKEN.fullmatch(name) if self._byte_fallback and name is not None else None
        token = _Token(
            hidden=name is None or name in self._hidden,
            byte=None if match is None else bytes.fromhex(match[1]),
            text=self.decode([token_id]),
        )
        self[token_id] = token
        return token

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of tokens that stand together, none of them hidden."""
        text: str = self._backend.decode(token_ids, skip_special_tokens=False)
        return text


def special_tokens(backend: tokenizers.Tokenizer) -> frozenset[str]:
    """Spellings of the tokens that a text is usually shown without."""
    added = backend.get_added_tokens_decoder().values()
    return frozenset(token.content for token in added if token.special)


def byte_letters() -> dict[str, int]:
    """The bytes by the letters that byte-level BPE writes for them.

    The alphabet is GPT-2's (Radford et al. 2019, `bytes_to_unicode`): printable Latin-1 characters
    stand for themselves, the other bytes in order for the characters from U+0100.
    """
    themselves = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)).difference(themselves))
    letters = {chr(byte): byte for byte in themselves}
    return letters | {chr(0x100 + rank): byte for rank, byte in enumerate(others)}


def states_of(component: Any, parts: str) -> list[dict[str, Any]]:
    """What tokenizer.json says of a component of a tokenizer, or of its parts in order.

    Args:
        component: Such as `backend.decoder`; None has no parts.
        parts: The key of a sequence's parts.
    """

    def flat(state: dict[str, Any]) -> list[dict[str, Any]]:
        if state["type"] != "Sequence":
            return [state]
        return [found for part in state[parts] for found in flat(part)]

    return [] if component is None else flat(json.loads(component.__getstate__()))


def _common_length(one: str, other: str) -> int:
    """How many characters two texts begin with together."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
