"""Log-probabilities as chats and as completions tell them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nanoaccel.runtime.types.outputs import TokenLogprobs
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
        tokens = [self._texts.text(entry.token_id) for entry in entries]
        offsets = []
        for token in tokens:
            offsets.append(self._offset)
            self._offset += len(token)
        return {
            "tokens": tokens,
            "token_logprobs": [finite(entry.logprob) for entry in entries],
            "top_logprobs": [
                {self._texts.text(token): finite(logprob) for token, logprob in entry.top}
                for entry in entries
            ],
            "text_offset": offsets,
        }


def finite(logprob: float) -> float:
    """A log-probability that JSON can tell."""
    return logprob if math.isfinite(logprob) else _LOWEST
