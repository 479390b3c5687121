"""The object that a response is."""

from __future__ import annotations

import time
import uuid
from typing import Any

from nanoaccel.server.api_error import ApiError, bad_request
from nanoaccel.server.http.fields import Fields
from nanoaccel.server.openai.answers import UsageCount
from nanoaccel.server.responses.output import OutputWriter

METADATA = 16


class ResponseObject:
    """Tells of a response, whatever has come of it yet.

    Args:
        fields: Of the request; some are told again.
        model: Name of the model.

    Raises:
        ApiError: ``metadata`` is malformed.
    """

    def __init__(self, fields: Fields, model: str) -> None:
        metadata = fields.typed("metadata", dict, {})
        if len(metadata) > METADATA or not all(isinstance(one, str) for one in metadata.values()):
            raise bad_request(
                f"metadata is not an object of at most {METADATA} strings", "metadata"
            )
        self._head: dict[str, Any] = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "model": model,
            "background": False,
            "instructions": fields.raw("instructions"),
            "max_output_tokens": fields.raw("max_output_tokens"),
            "metadata": metadata,
            "parallel_tool_calls": _given(fields, "parallel_tool_calls", True),
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None, **_given(fields, "reasoning", {})},
            "store": False,
            "temperature": fields.raw("temperature"),
            "text": {"format": {"type": "text"}, **_given(fields, "text", {})},
            "tool_choice": _given(fields, "tool_choice", "auto"),
            "tools": _given(fields, "tools", []),
            "top_logprobs": _given(fields, "top_logprobs", 0),
            "top_p": fields.raw("top_p"),
            "truncation": "disabled",
        }

    def begun(self) -> dict[str, Any]:
        """The response before its first token."""
        return self._with("in_progress", output=[])

    def ended(self, writer: OutputWriter, usage: dict[str, Any]) -> dict[str, Any]:
        """The whole response.

        Args:
            writer: Has its items.
            usage: See ``usage_of``.
        """
        cut = writer.finish_reason == "length"
        return self._with(
            "incomplete" if cut else "completed",
            output=writer.items,
            usage=usage,
            incomplete_details={"reason": "max_output_tokens"} if cut else None,
        )

    def failed(self, writer: OutputWriter, error: ApiError) -> dict[str, Any]:
        """The response that an error ended."""
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        told = {"code": code, "message": error.message}
        return self._with("failed", output=writer.items, error=told)

    def _with(self, status: str, **fields: Any) -> dict[str, Any]:
        rest = {"error": None, "incomplete_details": None, "usage": None}
        return {**self._head, "status": status, **rest, **fields}


def usage_of(usage: UsageCount, reasoning_tokens: int) -> dict[str, Any]:
    """The usage of a response.

    Args:
        usage: Counted its tokens.
        reasoning_tokens: Those of them that were thought.
    """
    counted = usage.usage()
    cached = counted["prompt_tokens_details"]["cached_tokens"]
    return {
        "input_tokens": counted["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": counted["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": counted["total_tokens"],
    }


def _given(fields: Fields, name: str, default: Any) -> Any:
    value = fields.raw(name)
    return default if value is None else value
