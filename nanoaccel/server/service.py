"""What all endpoints share: the models, the counts, and the calls that run."""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from nanoaccel.server.chat.families.table import form_of
from nanoaccel.server.config import ServerConfig
from nanoaccel.server.http.pacer import Pacer
from nanoaccel.server.metrics.latencies import Latencies
from nanoaccel.server.metrics.requests import HttpCounts
from nanoaccel.server.models.entry import Pulse
from nanoaccel.server.models.model import Model
from nanoaccel.server.models.pool import ModelPool

_LONGEST_WAIT = 60
_GOODBYE_SECONDS = 5
_log = logging.getLogger("nanoaccel.server")


class Stoppable(Protocol):
    """A request that is worked on."""

    def stop(self) -> None:
        """End it, as the server stops."""


class Service:
    """The server behind its endpoints.

    Args:
        config: How it runs.

    Attributes:
        config: As given.
        models: The bundles.
        answers: Counts of answers.
        pacer: Lets requests begin.
        calls: Requests that are worked on.
        stopping: Whether the server takes no more requests.

    Raises:
        ConfigError: The bundles cannot be served together.
        BundleError: A folder is no bundle.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.models = ModelPool(
            config.bundles,
            self._load,
            memory=config.memory,
            cache_memory=config.cache_memory,
            keep_alive=config.keep_alive,
        )
        self.answers = HttpCounts()
        self.pacer = Pacer()
        self.calls: set[Stoppable] = set()
        self.stopping = False
        self._ended = Pulse()
        self._opened = False

    def _load(self, name: str, bundle: Path) -> Model:
        engine = {**self.config.engine, "kv_cache_memory": self.config.cache_memory}
        if self.config.load_adapters:
            engine.setdefault("adapters", {})
        form = partial(
            form_of, tools=self.config.tool_parser, reasoning=self.config.reasoning_parser
        )
        return Model(name, bundle, engine, form)

    @property
    def is_ready(self) -> bool:
        """Whether requests are taken, and the first model was loaded."""
        return self._opened and not self.stopping

    async def open(self) -> None:
        """Load the first model.

        Raises:
            ApiError: It cannot be loaded.
        """
        async with self.models.use(None):
            self._opened = True

    async def close_idle_models(self) -> None:
        """Close models that nobody uses, again and again."""
        while True:
            await asyncio.sleep(1)
            await self.models.close_idle()

    def leave(self, call: Stoppable) -> None:
        """Note that a call has ended."""
        self.calls.discard(call)
        self._ended.ring()

    async def drain(self, seconds: float, hurry: asyncio.Event) -> None:
        """Take no more requests; let those that run end, and end those that do not.

        Args:
            seconds: How long they may take.
            hurry: Set when they shall end at once.
        """
        self.stopping = True
        _log.info("stopping", extra={"facts": {"running": len(self.calls), "drain": seconds}})
        waits = {
            asyncio.create_task(self._until_all_ended()),
            asyncio.create_task(hurry.wait()),
        }
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        for call in self.calls:
            call.stop()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._until_all_ended(), _GOODBYE_SECONDS)

    async def _until_all_ended(self) -> None:
        while self.calls:
            await self._ended.wait()

    def retry_after(self, latencies: Latencies) -> int:
        """Seconds after which a full queue has probably room: what its first one waits for.

        No engine is asked, which may take its time to answer, and not only now: refusals come in
        floods.
        """
        ended = latencies.total.count
        mean = latencies.total.total / ended if ended else 1.0
        most = self.config.max_running
        running = min(len(self.calls), most)
        return max(1, min(_LONGEST_WAIT, math.ceil(mean / max(1, running))))
