"""Bytes that are no HTTP request, or one that must be refused before its JSON is looked at."""

from __future__ import annotations

import socket
from collections.abc import Iterator

_BODY = b'{"prompt": "a", "max_tokens": 1}'
_JSON = b"Content-Type: application/json\r\n"
_POST = b"POST /v1/completions HTTP/1.1\r\n"
_HOST = b"Host: localhost\r\n"


def _post(headers: bytes, body: bytes = _BODY, first: bytes = _POST) -> bytes:
    return first + _HOST + headers + b"Connection: close\r\n\r\n" + body


def _sized(headers: bytes, body: bytes = _BODY, first: bytes = _POST) -> bytes:
    return _post(headers + b"Content-Length: %d\r\n" % len(body), body, first)


def bad_http() -> Iterator[tuple[str, bytes]]:
    """Each with a name; the client says nothing more after it."""
    for name, line in {
        "no method": b" /v1/completions HTTP/1.1\r\n",
        "no path": b"POST HTTP/1.1\r\n",
        "no version": b"POST /v1/completions\r\n",
        "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "null byte in the path": b"POST /v1/comp\x00letions HTTP/1.1\r\n",
        "space in the path": b"POST /v1/ completions HTTP/1.1\r\n",
        "bytes in the path": b"POST /v1/\xff\xfe HTTP/1.1\r\n",
        "long path": b"POST /" + b"a" * 40_000 + b" HTTP/1.1\r\n",
        "path upwards": b"GET /../../etc/passwd HTTP/1.1\r\n",
        "path upwards, escaped": b"GET /page/..%2f..%2fetc%2fpasswd HTTP/1.1\r\n",
        "path upwards, escaped twice": b"GET /page/%252e%252e%252fapp.py HTTP/1.1\r\n",
        "escape that is none": b"GET /v1/models/%zz HTTP/1.1\r\n",
        "null byte, escaped": b"GET /v1/models/%00 HTTP/1.1\r\n",
        "UTF-8 that is none, escaped": b"GET /v1/models/%ff%fe HTTP/1.1\r\n",
        "model of another": b"GET /tokenizer_info?model=..%2fjson HTTP/1.1\r\n",
        "line feeds, escaped": b"GET /v1/models/a%0d%0aX-Injected:%201 HTTP/1.1\r\n",
        "slashes": b"GET //v1//models HTTP/1.1\r\n",
        "PUT": b"PUT /v1/completions HTTP/1.1\r\n",
        "PATCH": b"PATCH /v1/chat/completions HTTP/1.1\r\n",
        "DELETE": b"DELETE /v1/models/json HTTP/1.1\r\n",
        "TRACE": b"TRACE /v1/models HTTP/1.1\r\n",
        "CONNECT": b"CONNECT example.org:443 HTTP/1.1\r\n",
        "GET of an action": b"GET /v1/chat/completions HTTP/1.1\r\n",
        "POST of a list": b"POST /v1/models HTTP/1.1\r\n",
        "method of symbols": b"P@ST! /v1/completions HTTP/1.1\r\n",
        "lower case": b"post /v1/completions HTTP/1.1\r\n",
        "nowhere": b"POST /v2/completions HTTP/1.1\r\n",
        "path at the end": b"POST /v1/completions/x HTTP/1.1\r\n",
    }.items():
        yield name, _sized(_JSON, first=line)
    for name, headers in {
        "no type": b"",
        "plain text": b"Content-Type: text/plain\r\n",
        "form": b"Content-Type: application/x-www-form-urlencoded\r\n",
        "multipart": b"Content-Type: multipart/form-data; boundary=a\r\n",
        "almost JSON": b"Content-Type: application/jsonp\r\n",
        "UTF-16": b"Content-Type: application/json; charset=utf-16\r\n",
        "gzip": _JSON + b"Content-Encoding: gzip\r\n",
        "brotli twice": _JSON + b"Content-Encoding: br, br\r\n",
        "two lengths": _JSON + b"Content-Length: 3\r\n",
        "length and chunks": _JSON + b"Transfer-Encoding: chunked\r\n",
        "header without colon": _JSON + b"nonsense\r\n",
        "header with a space": _JSON + b"X Y: 1\r\n",
        "header of nothing": _JSON + b": 1\r\n",
        "null byte in a header": _JSON + b"X: a\x00b\r\n",
        "long header": _JSON + b"X: " + b"a" * 40_000 + b"\r\n",
        "many headers": _JSON + b"".join(b"X%d: 1\r\n" % number for number in range(5000)),
        "second host": b"Host: evil.example\r\n" + _JSON,
        "header that is folded": _JSON + b"X: a\r\n b\r\n" + b"Content-Encoding: gzip\r\n",
    }.items():
        yield name, _sized(headers)
    for name, headers in {
        "negative length": _JSON + b"Content-Length: -1\r\n",
        "length of text": _JSON + b"Content-Length: ten\r\n",
        "huge length": _JSON + b"Content-Length: " + b"9" * 40 + b"\r\n",
        "no length": _JSON,
        "unknown coding": _JSON + b"Transfer-Encoding: rot13\r\n",
    }.items():
        yield name, _post(headers)
    for name, body in {
        "chunk of no size": b"zz\r\nabc\r\n0\r\n\r\n",
        "negative chunk": b"-1\r\nabc\r\n0\r\n\r\n",
        "huge chunk": b"f" * 20 + b"\r\nabc\r\n",
        "chunk that is longer": b"1\r\nabc\r\n0\r\n\r\n",
        "nothing in chunks": b"0\r\n\r\n",
    }.items():
        yield name, _post(_JSON + b"Transfer-Encoding: chunked\r\n", body)
    for host in (b"evil.example", b"", b"localhost.evil", b"a@localhost", b"[::1", b"127.0.0.1/x"):
        head = b"GET /v1/models HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
        yield f"host {host!r}", head
    yield "no host", b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n"
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60
    yield "SSH", b"SSH-2.0-OpenSSH_9.6\r\n"
    yield "redis", b"*1\r\n$4\r\nPING\r\n"
    yield "null bytes", b"\x00" * 1000
    yield "line feeds", b"\r\n" * 1000 + b"x\r\n\r\n"


def cut_short() -> Iterator[tuple[str, bytes]]:
    """Requests whose client goes away in the middle; nobody is there for an answer."""
    whole = _post(_JSON + b"Content-Length: 100\r\n")
    for place in (1, 4, 20, 40, len(whole) - len(_BODY), len(whole) - 1):
        yield f"after {place} bytes", whole[:place]
    yield "in a chunk", _post(_JSON + b"Transfer-Encoding: chunked\r\n", b"ff\r\n{")


def hang_up(port: int, sent: bytes) -> None:
    """Send some bytes and go away."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)


def exchange(port: int, sent: bytes, timeout: float = 10) -> bytes:
    """All that a server answers to some bytes, until it closes.

    Raises:
        TimeoutError: It does not close.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        received = b""
        try:
            connection.sendall(sent)
            while part := connection.recv(65536):
                received += part
        except (ConnectionResetError, BrokenPipeError):
            pass  # it hung up on a client that is still sending
        return received
