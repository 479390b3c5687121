"""The JSON body of a request, read within limits."""

from __future__ import annotations

import asyncio
import json
from typing import NoReturn

from starlette.requests import Request

from nanoaccel.server.api_error import ApiError, bad_request
from nanoaccel.server.config import Limits

# A client that is still sending would not see an answer: so much more of its body is thrown away.
_PATIENCE = 4


async def read_object(request: Request, limits: Limits) -> dict[str, object]:
    """The JSON object in a body.

    Raises:
        ApiError: It is no JSON object, too large, nested too deeply, or did not arrive in time.
        ClientDisconnect: The client went away.
    """
    _check_headers(request)
    return parse_object(await read_body(request, limits), limits.depth)


async def read_body(request: Request, limits: Limits) -> bytes:
    """The bytes of a body.

    Raises:
        ApiError: It is too large, or did not arrive in time.
        ClientDisconnect: The client went away.
    """
    try:
        return await asyncio.wait_for(_read(request, limits.body_bytes), limits.body_seconds)
    except asyncio.TimeoutError:
        raise ApiError(
            408,
            f"the body did not arrive within {limits.body_seconds:g} s",
            "timeout",
            headers={"Connection": "close"},
        ) from None


def parse_object(raw: bytes, depth: int) -> dict[str, object]:
    """The JSON object in some bytes.

    Args:
        raw: UTF-8.
        depth: Levels of nesting at most.

    Raises:
        ApiError: It is none.
    """
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise bad_request(f"the body is not UTF-8: byte {error.start} cannot be read") from None
    except json.JSONDecodeError as error:
        raise bad_request(
            f"the body is not JSON: {error.msg} at character {error.pos}. Send one JSON object"
        ) from None
    except ValueError as error:  # a number with thousands of digits
        raise bad_request(f"the body holds a number that cannot be read: {error}") from None
    except RecursionError:
        raise _too_deep(depth) from None
    if not isinstance(body, dict):
        raise bad_request(f"the body is a JSON {type(body).__name__}. Send one JSON object")
    _check_depth(body, depth)
    return body


async def _read(request: Request, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > _PATIENCE * limit:
            break
        if size <= limit:
            parts.append(part)
    if size > limit:
        raise ApiError(
            413,
            f"the body is larger than {limit} bytes. Shorten it",
            "body_too_large",
            headers={"Connection": "close"},
        )
    return b"".join(parts)


def _check_headers(request: Request) -> None:
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json":
        raise ApiError(
            415, "Content-Type is not application/json. Send JSON, and say so", "content_type"
        )
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if charset not in ("", "utf-8", "utf8"):
        raise ApiError(415, f"charset {charset[:40]!r} is not UTF-8. Send UTF-8", "content_type")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "the body is compressed. Send it as it is", "content_encoding")


def _check_depth(body: object, limit: int) -> None:
    level = [body]
    for _ in range(limit):
        level = [
            child
            for item in level
            for child in (
                item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
            )
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise _too_deep(limit)


def _too_deep(limit: int) -> ApiError:
    return bad_request(f"the body is nested more than {limit} levels deep. Make it flatter")


def _refuse_constant(name: str) -> NoReturn:
    raise bad_request(f"the body holds {name}, which is not JSON. Send a number")
