"""The bundles behind the server: loaded when they are asked for, closed when memory is needed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ClosedError, ConfigError, NanoAccelError
from nanoaccel.server.api_error import ApiError, stopping
from nanoaccel.server.metrics.latencies import Latencies
from nanoaccel.server.models.entry import Entry, Pulse
from nanoaccel.server.models.model import Model, weights_memory

_log = logging.getLogger("nanoaccel.server")


class ModelPool:
    """Models by name. One that is in use is never closed.

    A model that does not fit the memory waits until others are idle; requests for those wait
    behind it, so that it is its turn at last.

    Args:
        bundles: Folders; a model has the name of its folder.
        load: Opens a bundle under a name; called in a thread.
        memory: Bytes that all loaded models may take; None is no limit.
        cache_memory: Bytes of the cache of each; None when they are not known before.
        keep_alive: Seconds after which an idle model is closed; None never.

    Raises:
        ConfigError: Two bundles have one name, or one alone takes more than ``memory``.
        BundleError: A folder is no bundle.
    """

    def __init__(
        self,
        bundles: tuple[Path, ...],
        load: Callable[[str, Path], Model],
        *,
        memory: int | None = None,
        cache_memory: int | None = None,
        keep_alive: float | None = None,
    ) -> None:
        self._load = load
        self._memory = memory
        self._cache_memory = 0 if cache_memory is None else cache_memory
        self._keep_alive = keep_alive
        self._entries: dict[str, Entry] = {}
        for bundle in bundles:
            self._add(bundle)
        self._changed = Pulse()
        self._turn = asyncio.Lock()
        self._crowded = False
        self._closed = False

    def _add(self, bundle: Path) -> None:
        name = bundle.resolve().name
        if name in self._entries:
            raise ConfigError(
                f"two bundles are named {name!r}: {self._entries[name].bundle} and {bundle}",
                "Rename one of the folders: they are the names of the models",
            )
        size = weights_memory(bundle) + self._cache_memory
        if self._memory is not None and size > self._memory:
            raise ConfigError(
                f"{bundle} takes {size} bytes with its cache, more than memory={self._memory}",
                "Raise it, lower kv_cache_memory, or leave the bundle out",
            )
        adapters = tuple(Bundle.open(bundle).adapters())
        self._entries[name] = Entry(name, bundle, size, Latencies(), adapters)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All models, in the order in which they were given."""
        return tuple(self._entries.values())

    def find(self, name: str | None) -> Entry:
        """A model by its name; the first one for None.

        Raises:
            ApiError: There is no such model.
        """
        if name is None:
            return self.entries[0]
        entry = self._entries.get(name)
        if entry is None:
            known = ", ".join(self._entries)
            raise ApiError(
                404,
                f"there is no model {name[:80]!a}. There is: {known}",
                "model_not_found",
                "model",
            )
        return entry

    def find_with_adapter(self, name: str | None) -> tuple[Entry, str | None]:
        """A model, and the adapter that it shall answer with, by the name ``MODEL:ADAPTER``.

        The name of an adapter alone stands for that of the first model which has it, as in vLLM.

        Raises:
            ApiError: There is no such model, or it has no such adapter.
        """
        if name is None or name in self._entries:
            return self.find(name), None
        base, _, adapter = name.rpartition(":")
        if base in self._entries:
            entry = self._entries[base]
            if adapter not in entry.adapter_names():
                raise _no_adapter(entry, adapter)
            return entry, adapter
        having = (one for one in self.entries if name in one.adapter_names())
        found = next(having, None)
        return (self.find(name), None) if found is None else (found, name)

    @asynccontextmanager
    async def use(self, name: str | None) -> AsyncIterator[Model]:
        """A model, loaded, which stays so for the length of the block.

        Args:
            name: Its name; None is the first.

        Raises:
            ApiError: There is no such model, or it cannot be loaded.
        """
        entry = self.find(name)
        model = await self._take(entry)
        try:
            yield model
        except ClosedError:
            if entry.model is model:
                entry.end()  # its engine has stopped by itself; the next request loads it
            raise
        finally:
            entry.users -= 1
            entry.idle_since = time.monotonic()
            self._changed.ring()

    async def _take(self, entry: Entry) -> Model:
        entry.wanted += 1
        try:
            while entry.model is None or (self._crowded and not entry.is_owed):
                if self._closed:
                    raise stopping()
                if entry.model is None:
                    await self._loaded(entry)
                else:
                    await self._changed.wait()
            entry.users += 1
            entry.is_owed = False
            return entry.model
        finally:
            entry.wanted -= 1
            if entry.wanted == 0:
                entry.is_owed = False
            self._changed.ring()

    async def _loaded(self, entry: Entry) -> None:
        """Load it, or wait for whoever does; loading goes on when this is cancelled."""
        if entry.loading is None:
            entry.loading = asyncio.create_task(self._load_in_turn(entry))
            entry.loading.add_done_callback(lambda _: setattr(entry, "loading", None))
        error = await asyncio.shield(entry.loading)
        if error is not None:
            raise error

    async def _load_in_turn(self, entry: Entry) -> ApiError | None:
        async with self._turn:
            if not await self._make_room(entry):
                return None
            _log.info("loading", extra={"facts": {"model": entry.name}})
            begun = time.perf_counter()
            try:
                model = await asyncio.to_thread(self._load, entry.name, entry.bundle)
            except (NanoAccelError, MemoryError, OSError, RuntimeError) as error:
                entry.failure = error
                _log.error(
                    "a model could not be loaded",
                    exc_info=not isinstance(error, NanoAccelError),
                    extra={"facts": {"model": entry.name, "reason": str(error)}},
                )
                message = f"the model {entry.name!a} could not be loaded; the server's log says why"
                return ApiError(503, message, "model_not_loaded", headers={"Retry-After": "30"})
            entry.begin(model)
            entry.idle_since = time.monotonic()
            entry.is_owed = entry.wanted > 0
            facts = {
                "model": entry.name,
                "bytes": model.memory,
                "seconds": round(time.perf_counter() - begun, 2),
            }
            _log.info("loaded", extra={"facts": facts})
            return None

    async def _make_room(self, entry: Entry) -> bool:
        """Close idle models until it fits; False when nobody wants it any more."""
        try:
            while not self._fits(entry):
                if entry.wanted == 0 or self._closed:
                    return False
                idle = [one for one in self.entries if one.is_idle]
                if idle:
                    await self._close(min(idle, key=lambda one: one.idle_since))
                    continue
                self._crowded = True
                await self._changed.wait()
        finally:
            self._crowded = False
            self._changed.ring()
        return not self._closed

    def _fits(self, entry: Entry) -> bool:
        taken = sum(one.memory for one in self.entries if one.model is not None)
        return self._memory is None or taken == 0 or taken + entry.memory <= self._memory

    async def _close(self, entry: Entry) -> None:
        model = entry.end()
        if model is not None:
            _log.info("closing", extra={"facts": {"model": entry.name}})
            await model.close()

    async def close_idle(self) -> None:
        """Close models that nobody has used for ``keep_alive`` seconds."""
        if self._keep_alive is None:
            return
        before = time.monotonic() - self._keep_alive
        for entry in self.entries:
            if entry.is_idle and entry.idle_since <= before:
                await self._close(entry)

    async def close(self) -> None:
        """Close all; requests that wait for one are refused."""
        self._closed = True
        self._changed.ring()
        async with self._turn:
            for entry in self.entries:
                await self._close(entry)


def _no_adapter(entry: Entry, adapter: str) -> ApiError:
    known = ", ".join(entry.adapter_names()) or "none"
    message = f"the model {entry.name!a} has no adapter {adapter[:80]!a}. It has: {known}"
    return ApiError(404, message, "model_not_found", "model")
