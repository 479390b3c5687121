"""A request on its way from the gateway to an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.types import Scope

from nanoaccel.fleet.routing.prompt import PromptOutline

_KEPT = ("method", "path", "query_string", "http_version", "scheme")


class Forwarded:
    """An HTTP request, whole.

    Args:
        scope: What ASGI knows of it, as far as it can be sent on.
        body: Its bytes.
        prompt: For the router.

    Attributes:
        scope: As given.
        body: As given.
        prompt: As given.
        on_computed: To be called when the answer begins; the router sets it. It stays behind when
            the request goes to another process.
    """

    def __init__(self, scope: dict[str, Any], body: bytes, prompt: PromptOutline) -> None:
        self.scope = scope
        self.body = body
        self.prompt = prompt
        self.on_computed: Callable[[], None] = lambda: None

    def __reduce__(self) -> tuple[object, ...]:
        return Forwarded, (self.scope, self.body, self.prompt)

    @classmethod
    def of(cls, scope: Scope, body: bytes) -> Forwarded:
        """What came to the gateway."""
        kept = {name: scope[name] for name in _KEPT if name in scope}
        # A path below the application's own prefix is that of the server.
        kept["path"] = kept["path"].removeprefix(scope.get("root_path", "")) or "/"
        kept["headers"] = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
        return cls(kept, body, PromptOutline.of(body))
