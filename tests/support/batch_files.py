"""Files of requests, and what was answered."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def request_of(custom_id: object, url: str = "/v1/completions", **body: object) -> dict[str, Any]:
    """A line that asks for a few letters."""
    if not body:
        body = {"prompt": "a", "max_tokens": 4, "ignore_eos": True}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def write_lines(path: Path, lines: Iterable[object]) -> Path:
    """A file of JSON lines; bytes go as they are."""
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"".join(line + b"\n" for line in raw))
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]
