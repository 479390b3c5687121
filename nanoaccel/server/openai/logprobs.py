"""Log-probabilities as chats and as completions tell them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nanoaccel.runtime.types.outputs import PromptLogprobs, TokenLogprobs
from nanoaccel.server.models.token_texts import TokenTexts

_LOWEST = -9999.0  # JSON has no infinity; OpenAI's number for a token that cannot be


def chat_logprobs(entries: Sequence[TokenLogprobs], texts: TokenTexts) -> dict[str, Any]:
    """The ``logprobs`` of a chat's choice."""
    content = [
        {
            **_token(entry.token_id, entry.logprob, texts),
            "top_logprobs": [_token(token, logprob, texts) for token, logprob in entry.top],
        }
        for entry in entries
    ]
    return {"content": content, "refusal": None}


def _token(token: int, logprob: float, texts: TokenTexts) -> dict[str, Any]:
    return {
        "token": texts.text(token),
        "logprob": finite(logprob),
        "bytes": list(texts.utf8(token)),
    }


class CompletionLogprobs:
    """The ``logprobs`` of one choice of a completion, part by part.

    Args:
        texts: Of the model's tokens.
        offset: Characters before the first token.
    """

    def __init__(self, texts: TokenTexts, offset: int = 0) -> None:
        self._texts = texts
        self._offset = offset

    def part(self, entries: Sequence[TokenLogprobs]) -> dict[str, Any]:
        """Those of the next tokens."""
        return self._told([entry.token_id for entry in entries], entries)

    def prompt(self, ids: Sequence[int], entries: PromptLogprobs, top: int) -> dict[str, Any]:
        """Those of the prompt that the choice begins with; null for tokens of which none are known.

        Args:
            ids: Its tokens.
            entries: One for each.
            top: Likeliest tokens that are told.
        """
        return self._told(
            ids, [None if e is None else replace(e, top=e.top[:top]) for e in entries]
        )

    def _told(self, ids: Sequence[int], entries: Sequence[TokenLogprobs | None]) -> dict[str, Any]:
        tokens = [self._texts.text(token) for token in ids]
        offsets = []
        for token in tokens:
            offsets.append(self._offset)
            self._offset += len(token)
        return {
            "tokens": tokens,
            "token_logprobs": [None if e is None else finite(e.logprob) for e in entries],
            "top_logprobs": [None if e is None else self._likeliest(e) for e in entries],
            "text_offset": offsets,
        }

    def _likeliest(self, entry: TokenLogprobs) -> dict[str, float]:
        # Of tokens with equal texts, such as parts of characters, the likeliest.
        return {self._texts.text(token): finite(value) for token, value in reversed(entry.top)}


def prompt_logprobs(
    entries: PromptLogprobs, top: int, texts: TokenTexts
) -> list[dict[str, Any] | None] | None:
    """The ``prompt_logprobs`` of a choice, as vLLM tells them; None where none are known.

    Args:
        entries: One for each token of the prompt.
        top: Likeliest tokens that are told, beside the token itself.
        texts: Of the model's tokens.
    """
    if not entries:
        return None
    return [None if entry is None else _ranked(entry, top, texts) for entry in entries]


def _ranked(entry: TokenLogprobs, top: int, texts: TokenTexts) -> dict[str, Any]:
    ranks = {token: rank for rank, (token, _) in enumerate(entry.top, 1)}
    known = {entry.token_id: entry.logprob, **dict(entry.top[:top])}
    return {
        str(token): {
            "logprob": finite(logprob),
            "rank": ranks.get(token),
            "decoded_token": texts.text(token),
        }
        for token, logprob in known.items()
    }


def finite(logprob: float) -> float:
    """A log-probability that JSON can tell."""
    return logprob if math.isfinite(logprob) else _LOWEST
