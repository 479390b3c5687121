"""How an API writes events and errors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

from nanoaccel.server.api_error import ApiError

_ANTHROPIC_PATHS = re.compile(r"(/v1)?/messages(/.*)?")
_ANTHROPIC_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}

# json.dumps makes an encoder for each call.
compact_json = json.JSONEncoder(separators=(",", ":")).encode


class Dialect(Protocol):
    """What differs between the streams of APIs; made anew for each answer.

    Attributes:
        ping: What is sent after a silence.
        end: What is sent last.
    """

    ping: str
    end: str

    def frame(self, content: Mapping[str, Any]) -> str:
        """An event."""

    def failure(self, error: ApiError) -> str:
        """What ends a stream that fails."""


class OpenAIDialect:
    """Completions and chats: objects without names, and an end of its own."""

    ping = ": ping\n\n"
    end = "data: [DONE]\n\n"

    def frame(self, content: Mapping[str, Any]) -> str:
        """As in ``Dialect``."""
        return f"data: {compact_json(content)}\n\n"

    def failure(self, error: ApiError) -> str:
        """As in ``Dialect``."""
        return self.frame(error.body()) + self.end


def named_frame(content: Mapping[str, Any]) -> str:
    """An event that has the name of its ``type``."""
    return f"event: {content['type']}\ndata: {compact_json(content)}\n\n"


def error_content(error: ApiError, path: str) -> Mapping[str, Any]:
    """The body that tells of an error, as clients of a path know it."""
    if _ANTHROPIC_PATHS.fullmatch(path) is None:
        return error.body()
    return anthropic_error(error)


def anthropic_error(error: ApiError) -> Mapping[str, Any]:
    """An error as Anthropic's clients know it."""
    kind = "api_error" if error.status >= 500 else "invalid_request_error"
    kind = _ANTHROPIC_KINDS.get(error.status, kind)
    return {"type": "error", "error": {"type": kind, "message": error.message}}
