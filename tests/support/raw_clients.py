"""Requests by hand on a socket, and what the server's metrics say of them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from support.servers import Served


def open_post(served: Served, body: dict[str, Any]) -> socket.socket:
    """A request whose answer nobody has read yet."""
    connection = socket.socket()
    connection.settimeout(20)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", served.port))
    connection.sendall(post_bytes(body))
    return connection


def post_bytes(body: dict[str, Any]) -> bytes:
    """A request for a completion."""
    content = json.dumps(body).encode()
    head = (
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def metric(served: Served, name: str) -> float:
    lines = served.get("/metrics").body.decode().splitlines()
    found = [line for line in lines if line.startswith(f"nanoaccel:{name}")]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


def shows(served: Served, name: str, value: float) -> Callable[[], bool]:
    return lambda: metric(served, name) == value
