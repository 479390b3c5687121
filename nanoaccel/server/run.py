"""Runs the server until it is told to stop, and stops it in order."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn

from nanoaccel.errors import ConfigError
from nanoaccel.server.app import create_app
from nanoaccel.server.config import ServerConfig
from nanoaccel.server.connections.connection import connections
from nanoaccel.server.connections.sockets import allow_files
from nanoaccel.server.service import Service

# The event loop takes turns with the engine's thread and those that read prompts: with Python's own
# 5 ms for each of them, a burst of prompts keeps it waiting.
_SWITCH_SECONDS = 0.001
_LAST_SECONDS = 5


def serve(config: ServerConfig, on_listening: Callable[[int], None] = lambda _: None) -> None:
    """Serve until SIGTERM or SIGINT. A second signal ends what runs at once.

    Args:
        config: What to serve, and how.
        on_listening: Called with the port when clients can connect; the model may still load.

    Raises:
        ConfigError: The bundles cannot be served together, or the address cannot be used.
        NanoAccelError: The first bundle cannot be loaded.
        KeyboardInterrupt: It was stopped by SIGINT.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    asyncio.run(Running(config, on_listening).run())


class Running:
    """A server that runs.

    Args:
        config: What to serve, and how.
        on_listening: Called with the port when clients can connect.
    """

    def __init__(self, config: ServerConfig, on_listening: Callable[[int], None]) -> None:
        self._config = config
        self._on_listening = on_listening
        self._told = 0
        self._signal = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._again: asyncio.Event | None = None

    async def run(self) -> None:
        """Serve; see ``serve``."""
        config = self._config
        allow_files(config.max_connections)
        service = Service(config)
        self._loop = asyncio.get_running_loop()
        self._stop, self._again = asyncio.Event(), asyncio.Event()
        server = _Server(
            uvicorn.Config(
                create_app(service),
                host=config.host,
                port=config.port,
                http=connections(config),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                h11_max_incomplete_event_size=config.limits.header_bytes,
                timeout_graceful_shutdown=_LAST_SECONDS,
            ),
            self._on_signal,
        )
        failure: Exception | None = None
        serving = asyncio.create_task(self._listen(server))
        idle = asyncio.create_task(service.close_idle_models())
        try:
            failure = await self._until_told(service, serving, server)
        finally:
            server.should_exit = True
            idle.cancel()
            with suppress(SystemExit):
                await asyncio.gather(serving, return_exceptions=True)
            await service.models.close()
        if failure is not None:
            raise failure
        if self._signal == signal.SIGINT:
            raise KeyboardInterrupt

    def stop(self) -> None:
        """Stop in order, as a signal does; the second time at once. May be called in any thread."""
        self._told += 1
        if self._loop is not None and self._stop is not None and self._again is not None:
            event = self._stop if self._told == 1 else self._again
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(event.set)

    def _on_signal(self, number: int) -> None:
        self._signal = number
        self.stop()

    async def _listen(self, server: uvicorn.Server) -> None:
        config = self._config
        try:
            await server.serve()
        except SystemExit:  # uvicorn's way to say that it cannot; its log has the reason
            raise ConfigError(
                f"the server cannot listen at {config.host}, port {config.port}",
                "Choose another --port, or stop what uses it",
            ) from None

    async def _until_told(
        self, service: Service, serving: asyncio.Task[None], server: _Server
    ) -> Exception | None:
        """Open, wait for the end and drain; gives what kept the server from running."""
        assert self._stop is not None
        assert self._again is not None
        stop = asyncio.create_task(self._stop.wait())
        listening = asyncio.create_task(server.listening.wait())
        tasks: list[asyncio.Task[Any]] = [stop, listening]
        try:
            await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                return _error_of(serving)
            self._on_listening(server.port)
            opening = asyncio.create_task(service.open())
            tasks.append(opening)
            await asyncio.wait({serving, opening, stop}, return_when=asyncio.FIRST_COMPLETED)
            if opening.done() and opening.exception() is not None:
                failure = service.models.entries[0].failure
                return _error_of(opening) if failure is None else failure
            await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
            await service.drain(self._config.drain, self._again)
            return None
        finally:
            for task in tasks:
                task.cancel()


def _error_of(task: asyncio.Task[None]) -> Exception | None:
    error = task.exception()
    return error if isinstance(error, Exception) else None


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it listens and leaves signals to others."""

    def __init__(self, config: uvicorn.Config, on_signal: Callable[[int], None]) -> None:
        super().__init__(config)
        self._on_signal = on_signal
        self.listening = asyncio.Event()
        self.port = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._on_signal(sig)

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            self.port = self.servers[0].sockets[0].getsockname()[1]
            self.listening.set()
