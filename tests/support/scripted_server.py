"""A server that speaks OpenAI's protocol and says what a test wrote, on a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route

from nanoaccel.server.page import page_routes

ENGINE: dict[str, Any] = {
    "version": "1.2.3",
    "machine": {
        "cpu": "A CPU <b>of</b> tests", "architecture": "x86_64", "system": "linux",
        "instructions": ["avx2", "amx"], "sockets": 1, "numa_nodes": 1, "cores": 4, "cpus": 8,
        "allowed_cpus": 6, "cpu_quota": 2.5, "memory_limit": None, "free_memory": 3_000_000_000,
    },
    "models": [
        {
            "id": "tiny", "loaded": True, "memory": 90_000_000, "source": "hub/tiny",
            "parameters": 134_515_008, "recipe": {"weights": "int4", "draft": None},
            "engine": {
                "backend": "openvino", "device": "CPU", "engines": 1, "threads": 4,
                "cache_precision": "bf16", "context_length": 8192,
                "batch_invariant": True,
            },
        },
    ],
}  # fmt: skip
METRICS = """\
# HELP nanoaccel:num_requests_running Requests that hold cache.
# TYPE nanoaccel:num_requests_running gauge
nanoaccel:num_requests_running{model_name="tiny"} 3
# HELP nanoaccel:generation_tokens_total Tokens that were sampled.
# TYPE nanoaccel:generation_tokens_total counter
nanoaccel:generation_tokens_total{model_name="tiny"} TOKENS
# HELP nanoaccel:prefix_cache_hits_total Those that were found.
# TYPE nanoaccel:prefix_cache_hits_total counter
nanoaccel:prefix_cache_hits_total{model_name="tiny"} 30
nanoaccel:prefix_cache_queries_total{model_name="tiny"} 40
nanoaccel:spec_decode_num_drafts_total{model_name="tiny"} 10
nanoaccel:spec_decode_num_accepted_tokens_total{model_name="tiny"} 15
nanoaccel:kv_cache_usage_perc{model_name="say \\"tiny\\""} 0.25
# HELP nanoaccel:time_to_first_token_seconds To the first token.
# TYPE nanoaccel:time_to_first_token_seconds histogram
nanoaccel:time_to_first_token_seconds_bucket{model_name="tiny",le="0.1"} 1
nanoaccel:time_to_first_token_seconds_bucket{model_name="tiny",le="0.2"} 9
nanoaccel:time_to_first_token_seconds_bucket{model_name="tiny",le="+Inf"} 10
nanoaccel:time_to_first_token_seconds_sum{model_name="tiny"} 1.5
nanoaccel:time_to_first_token_seconds_count{model_name="tiny"} 10
"""


@dataclass(frozen=True, slots=True)
class Cut:
    """The stream ends here, without its end."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The stream waits until the test lets it go on, once."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The stream says nothing for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment of the stream."""

    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """No stream: a status with OpenAI's error."""

    status: int
    message: str
    headers: dict[str, str] = field(default_factory=dict)


class ScriptedServer:
    """Serves the page, also below a prefix, and answers in the order of what it was told to say.

    Attributes:
        asked: Bodies of the chat requests so far.
        cancelled: How many streams a client left.
        key: The key that it wants, or None.
        models: What it has.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.cancelled = 0
        self.key: str | None = None
        self.models = ["tiny", "other"]
        self._script: deque[tuple[Any, ...] | Refusal] = deque()
        self._go_on = threading.Event()
        self._began = time.monotonic()
        routes: list[BaseRoute] = [
            *page_routes(),
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/metrics", self._metrics),
            Route("/v1/engine", self._engine),
        ]
        app = Starlette(routes=[*routes, Mount("/below", routes=routes)])
        config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))

    def start(self) -> None:
        """Serve, in a thread."""
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        """Serve no longer."""
        self._go_on.set()
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()

    def forget(self) -> None:
        """As it was before the first request, for the next test."""
        self._go_on.set()
        self.__dict__.update(asked=[], cancelled=0, key=None, models=["tiny", "other"])
        self._script.clear()

    def say(self, *parts: str | dict[str, Any] | Cut | Wait | Pause | Comment) -> None:
        """Answer one request. A dict is a delta; with usage or an error it is the last chunk."""
        self._go_on.clear()
        self._script.append(parts)

    def refuse(self, status: int, message: str, **headers: str) -> None:
        """Refuse one request."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        self._script.append(Refusal(status, message, named))

    def go_on(self) -> None:
        """Let a stream that waits go on."""
        self._go_on.set()

    def _refused(self, request: Request) -> Response | None:
        if self.key is None or request.headers.get("authorization") == f"Bearer {self.key}":
            return None
        return _error(401, "A key is needed.")

    async def _models(self, request: Request) -> Response:
        data = [{"id": name, "object": "model"} for name in self.models]
        return self._refused(request) or JSONResponse({"object": "list", "data": data})

    async def _metrics(self, request: Request) -> Response:
        tokens = str(int((time.monotonic() - self._began) * 100))
        return self._refused(request) or PlainTextResponse(METRICS.replace("TOKENS", tokens))

    async def _engine(self, request: Request) -> Response:
        return self._refused(request) or JSONResponse(ENGINE)

    async def _chat(self, request: Request) -> Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        self.asked.append(await request.json())
        script = self._script.popleft() if self._script else ("An answer.",)
        if isinstance(script, Refusal):
            return _error(script.status, script.message, script.headers)
        return StreamingResponse(self._stream(script), media_type="text/event-stream")

    async def _stream(self, parts: tuple[Any, ...]) -> AsyncIterator[str]:
        try:
            yield _event(_chunk({"role": "assistant", "content": ""}))
            for part in parts:
                match part:
                    case Cut():
                        return
                    case Wait():
                        while not self._go_on.is_set():
                            await asyncio.sleep(0.005)
                        self._go_on.clear()
                    case Pause():
                        await asyncio.sleep(part.seconds)
                    case Comment():
                        yield f": {part.text}\n\n"
                    case str():
                        yield _event(_chunk({"content": part}))
                    case {"prompt_progress": _} | {"queue": _}:
                        yield _event({"choices": [], **part})
                    case {"error": _}:
                        yield _event(part)
                        return
                    case {"usage": _}:
                        yield _event(_chunk({}, "stop"))
                        yield _event({"choices": [], **part})
                    case _:
                        yield _event(_chunk(part))
            if not (parts and isinstance(parts[-1], dict) and "usage" in parts[-1]):
                yield _event(_chunk({}, "stop"))
            yield "data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "model": "tiny", "choices": [choice]}


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"message": message}}, status_code=status, headers=headers)
