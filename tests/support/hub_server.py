"""A server on this machine that speaks as much of the hub's API as a download needs."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c0ffee" + "0" * 34
_LARGE = (".safetensors", ".bin", ".gguf")  # kept apart from git


@dataclass
class Hub:
    """Repositories, and what was asked of them.

    Attributes:
        files: Bytes by path, by repository.
        served: Bytes that are sent instead, by path.
        ranges: Paths and first bytes of downloads.
        chunk_seconds: Time between pieces of a large file.
        url: Address of the server.
    """

    files: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    served: dict[str, bytes] = field(default_factory=dict)
    ranges: list[tuple[str, int]] = field(default_factory=list)
    chunk_seconds: float = 0.0
    url: str = ""

    def described(self, repository: str) -> dict[str, Any]:
        """What `/api/models/...` tells."""
        siblings = []
        for path, content in self.files[repository].items():
            git = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
            entry: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": git}
            if path.endswith(_LARGE):
                sha256 = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        return {"id": repository, "sha": COMMIT, "siblings": siblings}


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """A hub until the end of the block."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith("/api/models/"):
                name = "/".join(path.split("/")[3:5])
                if name not in hub.files:
                    self.send_response(404)
                    self.send_header("X-Error-Code", "RepoNotFound")
                    self.end_headers()
                    return
                self._send(json.dumps(hub.described(name)).encode(), {})
                return
            _, org, name, _, _, *rest = path.split("/")
            file = "/".join(rest)
            content = hub.served.get(file, hub.files[f"{org}/{name}"][file])
            begin = int(self.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
            hub.ranges.append((file, begin))
            headers = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"}
            self._send(content[begin:], headers if begin else {}, 206 if begin else 200)

        def _send(self, content: bytes, headers: Mapping[str, str], code: int = 200) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for at in range(0, len(content), 1 << 20):
                self.wfile.write(content[at : at + (1 << 20)])
                if len(content) > 1 << 22:
                    time.sleep(hub.chunk_seconds)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
