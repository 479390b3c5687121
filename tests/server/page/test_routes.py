"""How the page's files are served; no browser needed."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.scripted_server import ScriptedServer

STATIC = Path(__file__).parents[3] / "nanoaccel" / "server" / "page" / "static"


def get(
    server: ScriptedServer, path: str, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    connection.request(method, path, headers=named)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


@pytest.mark.parametrize(
    ("path", "file", "kind"),
    [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/page/app.js", "app.js", "text/javascript; charset=utf-8"),
        ("/page/style.css", "style.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "icon.svg", "image/svg+xml"),
    ],
)
def test_file_is_served_as_what_it_is(
    server: ScriptedServer, path: str, file: str, kind: str
) -> None:
    response, body = get(server, path)
    assert response.status == 200
    assert body == (STATIC / file).read_bytes()
    assert response.headers["Content-Type"] == kind
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_known_file_is_not_sent_again(server: ScriptedServer) -> None:
    first, _ = get(server, "/page/app.js")
    tag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "no-cache"
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again, body = get(server, "/page/app.js", If_None_Match=known)
        assert (again.status, body) == (304, b"")
        assert again.headers["ETag"] == tag
    changed, body = get(server, "/page/app.js", If_None_Match='"other"')
    assert changed.status == 200
    assert body


def test_head_has_no_body(server: ScriptedServer) -> None:
    response, body = get(server, "/", "HEAD")
    assert (response.status, body) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/none.js",
        "/page/..%2f__init__.py",
        "/page/%2e%2e/routes.py",
        "/page/../routes.py",
        "/page/routes.py",
        "/page/%00",
    ],
)
def test_nothing_else_is_served(server: ScriptedServer, path: str) -> None:
    response, body = get(server, path)
    assert response.status == 404
    assert b"page_routes" not in body


def test_files_are_short() -> None:
    lines = {path.name: path.read_text(encoding="utf-8").splitlines() for path in STATIC.iterdir()}
    assert {name: len(text) for name, text in lines.items() if len(text) > 250} == {}
    assert {name for name, text in lines.items() if max(map(len, text)) > 110} == set()


def test_page_has_no_inline_code_and_names_no_host() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "innerHTML" not in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), path.name
        assert "https://" not in text, path.name
    index = (STATIC / "index.html").read_text(encoding="utf-8")
    assert "style=" not in index
    assert "<style" not in index
    assert " on" not in index.replace(" one", "").replace(" only", "")
    assert index.count("<script") == index.count('<script type="module" src="page/app.js">') == 1
