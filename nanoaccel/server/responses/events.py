"""How the streams of responses are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanoaccel.server.api_error import ApiError
from nanoaccel.server.http.dialect import named_frame


class ResponsesDialect:
    """Named and numbered events."""

    ping = ": ping\n\n"
    end = ""

    def __init__(self) -> None:
        self._next = 0

    def frame(self, content: Mapping[str, Any]) -> str:
        """As in ``Dialect``; its number is added."""
        number, self._next = self._next, self._next + 1
        return named_frame({**content, "sequence_number": number})

    def failure(self, error: ApiError) -> str:
        """As in ``Dialect``."""
        told = {"code": error.code, "message": error.message, "param": error.param}
        return self.frame({"type": "error", **told})
