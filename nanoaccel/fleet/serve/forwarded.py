"""A request on its way from the gateway to an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.types import Scope

from nanoaccel.fleet.routing.prompt import PromptOutline

_KEPT = ("method", "path", "query_string", "http_version", "scheme")


@dataclass(frozen=True, slots=True)
class Forwarded:
    """An HTTP request, whole.

    Args:
        scope: What ASGI knows of it, as far as it can be sent on.
        headers: Names and values.
        body: Its bytes.
        prompt: For the router.
    """

    scope: dict[str, Any]
    headers: list[tuple[bytes, bytes]]
    body: bytes
    prompt: PromptOutline

    @classmethod
    def of(cls, scope: Scope, body: bytes) -> Forwarded:
        """What came to the gateway."""
        kept = {name: scope[name] for name in _KEPT if name in scope}
        # A path below the application's own prefix is that of the server.
        prefix = scope.get("root_path", "")
        kept["path"] = kept["path"].removeprefix(prefix) or "/"
        headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
        return cls(kept, headers, body, PromptOutline.of(body))
