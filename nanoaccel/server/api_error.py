"""Errors as OpenAI's clients know them: a status, and an object with a message and a kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from nanoaccel.errors import (
    ClosedError,
    ConfigError,
    NanoAccelError,
    PluginError,
    PromptTooLongError,
    QueueFullError,
    RequestError,
)

_KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
# litellm and langchain know the case by these words of OpenAI's, and compact the chat.
TOO_LONG = "this model's maximum context length is exceeded (context_length_exceeded)"
_FIELD = re.compile(r"([a-z_]+)(?:[=\[ ]|$)")


@dataclass(eq=False)
class ApiError(Exception):
    """A request that is refused, or fails.

    Args:
        status: Status of the answer, if it has not begun.
        message: What is wrong and what to do, in one line.
        code: A word for programs.
        param: The field that is wrong.
        headers: Headers of the answer.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, object]:
        """The JSON of the answer."""
        kind = _KINDS.get(self.status)
        if kind is None:
            kind = "rate_limit_error" if self.status == 429 else "invalid_request_error"
        if self.status >= 500:
            kind = "server_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": error}


def stopping() -> ApiError:
    """What is answered when the server takes no more requests, or ends those that run."""
    headers = {"Retry-After": "5", "Connection": "close"}
    return ApiError(503, "the server is stopping; try again", "stopping", headers=headers)


def bad_request(message: str, param: str | None = None) -> ApiError:
    """What is answered to a request that cannot be meant."""
    return ApiError(400, message, "invalid_value", param)


def api_error(error: Exception, *, retry_after: int = 1) -> ApiError:
    """What a client is told of an error; what is not his to know is not in it.

    Args:
        error: What was raised while a request was answered.
        retry_after: Seconds after which a full queue may have room.
    """
    if isinstance(error, ApiError):
        return error
    if isinstance(error, QueueFullError):
        message = f"{error.problem}. Try again in {retry_after} s"
        return ApiError(429, message, "queue_full", None, {"Retry-After": str(retry_after)})
    if isinstance(error, PromptTooLongError):
        return ApiError(400, f"{TOO_LONG}: {error}", "context_length_exceeded", None)
    if isinstance(error, RequestError | ConfigError):
        return bad_request(str(error), _field_in(error))
    if isinstance(error, ClosedError):
        return ApiError(
            503, "the model was closed; try again", "closed", None, {"Retry-After": "1"}
        )
    if isinstance(error, PluginError):
        return ApiError(500, f"{error.part} cannot be used; the server's log says why", "plugin")
    return ApiError(500, "the server failed; its log says why, under this request's id", "internal")


def _field_in(error: NanoAccelError) -> str | None:
    """The field that a message begins with, where it does."""
    found = _FIELD.match(error.problem)
    return found[1] if found is not None and error.problem[found.end(1) :][:1] in "=[" else None
