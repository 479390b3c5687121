"""The page's files over HTTP, with the headers that keep foreign code out of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Trusted types: a browser that knows them refuses innerHTML and its like, whatever a script does.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Cache-Control": "no-cache",  # kept, but asked for again: an upgrade is seen at once
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class _File:
    """One file in memory, and the headers it is sent with."""

    body: bytes
    headers: dict[str, str]

    def answer(self, request: Request) -> Response:
        """The file, or 304 for a browser that has it."""
        known = request.headers.get("if-none-match", "").split(",")
        if self.headers["ETag"] in {tag.strip().removeprefix("W/") for tag in known}:
            kept = {name: text for name, text in self.headers.items() if name != "Content-Type"}
            return Response(status_code=304, headers=kept)
        return Response(self.body, headers=self.headers)


def page_routes() -> list[BaseRoute]:
    """The routes ``/`` and ``/page/{name}``, which need no API key.

    The files are read once, here. No path of a request reaches the file system.
    """
    files = {path.name: _load(path) for path in _FOLDER.iterdir() if path.suffix in _TYPES}

    def index(request: Request) -> Response:
        return files["index.html"].answer(request)

    def file(request: Request) -> Response:
        found = files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404, "The page has no such file.")
        return found.answer(request)

    return [Route("/", index), Route("/page/{name}", file)]


def _load(path: Path) -> _File:
    body = path.read_bytes()
    tag = hashlib.sha256(body).hexdigest()[:32]
    return _File(body, {**_HEADERS, "Content-Type": _TYPES[path.suffix], "ETag": f'"{tag}"'})
