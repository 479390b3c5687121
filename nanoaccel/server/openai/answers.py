"""What all answers share: ids, usage, finish reasons."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from nanoaccel.errors import GenerationError
from nanoaccel.runtime.sampling.grammar.mask import TOO_COMPLEX
from nanoaccel.runtime.types.outputs import Chunk, Completion
from nanoaccel.server.api_error import ApiError, stopping
from nanoaccel.server.generation.generation import Generation

_REASONS = {"stop": "stop", "length": "length", "timeout": "length"}


def envelope(prefix: str, kind: str, model: str) -> dict[str, Any]:
    """The fields that every part of an answer has.

    Args:
        prefix: Of the id, such as "chatcmpl".
        kind: What ``object`` says.
        model: Name of the model.
    """
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
    }


def finish_reason(ended: Chunk | Completion) -> str | None:
    """Why a completion ended, in OpenAI's words; None when it has not.

    A timeout is "length": the text ends where its limit was.

    Raises:
        ApiError: It failed, or was cancelled from this side.
    """
    if ended.finish_reason is None:
        return None
    if ended.finish_reason == "cancelled":
        raise stopping()
    if ended.finish_reason == "error":
        if str(ended.error).startswith(TOO_COMPLEX):
            raise ApiError(400, str(ended.error), "grammar_too_complex")
        raise ApiError(
            500, "the completion failed; the server's log has the reason", "generation_failed"
        ) from GenerationError(str(ended.error))
    return _REASONS[ended.finish_reason]


class UsageCount:
    """Counts the tokens of a call from the ends of its completions.

    Args:
        generation: Its completions.
        n: Completions of each prompt.
        log: Gets the numbers too.
    """

    def __init__(self, generation: Generation, n: int, log: dict[str, Any]) -> None:
        self._prompt_tokens = generation.prompt_tokens
        self._n = n
        self._log = log
        self._completion_tokens = 0
        self._cached_tokens = 0
        self._timings: dict[str, Any] = {}

    def add(self, ended: Chunk | Completion, index: int) -> None:
        """Note a completion that has ended; a chunk that is not the last is passed over."""
        if ended.usage is None or ended.stats is None:
            return
        stats = ended.stats
        self._completion_tokens += ended.usage.completion_tokens
        if index % self._n == 0:  # the others find its prompt in the cache
            self._cached_tokens += stats.cached_tokens
        if index == 0:
            self._timings = {
                "queued_seconds": stats.queued,
                "first_token_seconds": stats.first_token,
                "total_seconds": stats.total,
                "cached_tokens": stats.cached_tokens,
                "steps": stats.steps,
                "drafted_tokens": stats.drafted_tokens,
                "accepted_tokens": stats.accepted_tokens,
            }
        self._log.update(
            completion_tokens=self._completion_tokens, finish_reason=ended.finish_reason
        )

    def usage(self) -> Mapping[str, Any]:
        """As OpenAI's API tells it."""
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": self._completion_tokens,
            "total_tokens": self._prompt_tokens + self._completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self._cached_tokens},
        }

    def timings(self) -> Mapping[str, Any]:
        """Where the first completion's time went."""
        return self._timings
