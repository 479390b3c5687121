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
_REPLACEMENT = "\ufffd"
_BYTE_TOKEN = re.compile("<0x([0-9A-Fa-f]{2})>")


class Detokenizer(ABC):
    """Decodes one sequence of token ids piece by piece.

    All that `push` and `flush` return, joined, is the tokenizer's text of all ids without special
    tokens. Each token is decoded a bounded number of times.
    """

    __slots__ = ()

    @abstractmethod
    def push(self, token_ids: Sequence[int]) -> str:
        """The text that became certain with these tokens."""

    @abstractmethod
    def flush(self) -> str:
        """The text held back, at the end of all tokens."""


def detokenizers_of(backend: tokenizers.Tokenizer) -> Callable[[], Detokenizer]:
    """What makes a detokenizer for each request; what it learns of tokens, all share.

    Byte-level BPE is exact for any ids. So are the chain of SentencePiece models (Replace,
    ByteFallback, Fuse, Strip of one leading space), Metaspace and WordPiece. Other decoders are
    exact where a token's text depends on the token before it at most.
    """
    types = _decoder_types(backend)
    if types == ["ByteLevel"]:
        return partial(_ByteLevelDetokenizer, _TokenBytes(backend))
    return partial(_WindowDetokenizer, backend, _Tokens(backend, "ByteFallback" in types))


class _ByteLevelDetokenizer(Detokenizer):
    """Joins the bytes of tokens; an incomplete character waits for at most three more bytes."""

    __slots__ = ("_bytes_of", "_decode")

    def __init__(self, token_bytes: _TokenBytes) -> None:
        self._bytes_of = token_bytes.__getitem__
        self._decode = _UTF8(errors="replace").decode

    def push(self, token_ids: Sequence[int]) -> str:
        return self._decode(b"".join(map(self._bytes_of, token_ids)))

    def flush(self) -> str:
        return self._decode(b"", True)


class _TokenBytes(dict[int, bytes]):
    """Token id to the bytes it stands for; none for special and unknown ids.

    The alphabet is GPT-2's (Radford et al. 2019, `bytes_to_unicode`): printable Latin-1 characters
    stand for themselves, the other bytes in order for the characters from U+0100.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        super().__init__()
        self._backend = backend
        self._special = _special_tokens(backend)
        themselves = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = sorted(set(range(256)).difference(themselves))
        self._byte_of = {chr(byte): byte for byte in themselves}
        self._byte_of |= {chr(0x100 + rank): byte for rank, byte in enumerate(others)}

    def __missing__(self, token_id: int) -> bytes:
        token = self._backend.id_to_token(token_id)
        if token is None or token in self._special:
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

    __slots__ = ("_broken", "_decode", "_shown", "_tokens", "_utf8", "_window")

    def __init__(self, backend: tokenizers.Tokenizer, tokens: _Tokens) -> None:
        self._decode = backend.decode
        self._tokens = tokens
        # The last token that was shown, then those that wait.
        self._window: list[int] = []
        self._shown = 0
        self._utf8 = _UTF8()
        self._broken = False

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
        text: str = self._decode(window[:certain])[self._shown :]
        self._shown = len(self._tokens[window[certain - 1]].text)
        del window[: certain - 1]
        return invalid + text

    def flush(self) -> str:
        text: str = self._decode(self._window)[self._shown :]
        self._window.clear()
        self._shown = 0
        return text

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

    def __init__(self, backend: tokenizers.Tokenizer, byte_fallback: bool) -> None:
        super().__init__()
        self._backend = backend
        self._byte_fallback = byte_fallback
        self._special = _special_tokens(backend)

    def __missing__(self, token_id: int) -> _Token:
        name = self._backend.id_to_token(token_id)
        match = _BYTE_TOKEN.fullmatch(name) if self._byte_fallback and name is not None else None
        token = _Token(
            hidden=name is None or name in self._special,
            byte=None if match is None else bytes.fromhex(match[1]),
            text=self._backend.decode([token_id]),
        )
        self[token_id] = token
        return token


def _special_tokens(backend: tokenizers.Tokenizer) -> frozenset[str]:
    added = backend.get_added_tokens_decoder().values()
    return frozenset(token.content for token in added if token.special)


def _decoder_types(backend: tokenizers.Tokenizer) -> list[str]:
    """The types of the decoders, in order, as tokenizer.json names them."""

    def types(state: dict[str, Any]) -> list[str]:
        if state["type"] != "Sequence":
            return [state["type"]]
        return [name for part in state["decoders"] for name in types(part)]

    return [] if backend.decoder is None else types(json.loads(backend.decoder.__getstate__()))
