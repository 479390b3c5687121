"""How Anthropic's streams are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanoaccel.server.api_error import ApiError
from nanoaccel.server.http.dialect import anthropic_error, named_frame


class AnthropicDialect:
    """Named events, of which a ping is one; the last one of a message is the end."""

    ping = named_frame({"type": "ping"})
    end = ""

    def frame(self, content: Mapping[str, Any]) -> str:
        """As in ``Dialect``."""
        return named_frame(content)

    def failure(self, error: ApiError) -> str:
        """As in ``Dialect``."""
        return named_frame(anthropic_error(error))
