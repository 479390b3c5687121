"""Opens a bundle for a face: with an engine in this process, or with several in others."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Literal

from nanoaccel.bundle import Bundle, weights_size
from nanoaccel.errors import ConfigError
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.engines import engine_plans, engines_for
from nanoaccel.runtime.cpu.machine import this_machine
from nanoaccel.runtime.cpu.memory import free_memory
from nanoaccel.runtime.engine.listeners import with_plugged
from nanoaccel.runtime.engine.protocol import EngineClient
from nanoaccel.runtime.types.events import EventListener
from nanoaccel.runtime.types.values import as_path, as_text

# Runtimes lay the weights out anew as they load them, beside those of the file.
_COPIES = 2
_CACHE_SHARE = 4

_log = logging.getLogger("nanoaccel.engine")


def open_client(
    bundle: str | Path,
    backend: str,
    config: EngineConfig,
    on_event: EventListener | None,
    replicas: int | Literal["auto"],
) -> EngineClient[Any]:
    """Open a bundle with one engine, or with several.

    Args:
        bundle: A bundle's folder, or a plain folder that optimum-intel exported.
        backend: Name of a backend, or "auto" for the best of the bundle's here.
        config: Options of each engine.
        on_event: Listener for what happens to requests.
        replicas: Number of engines; "auto" is one for each NUMA node, as far as memory allows it.

    Raises:
        ConfigError: An option is wrong.
        NanoAccelError: As ``InProcessClient``.
    """
    bundle = as_path("bundle", bundle)
    if backend is None:
        backend = "auto"
    as_text("backend", backend)
    if on_event is not None and not callable(on_event):
        raise ConfigError(f"on_event={on_event!r:.80} cannot be called", "Give a function")
    on_event = with_plugged(on_event)
    count = (
        _auto(bundle, backend, config)
        if replicas is None or replicas == "auto"
        else _checked(replicas)
    )
    if count == 1:
        from nanoaccel.runtime.engine.client import InProcessClient

        return InProcessClient(bundle, backend=backend, config=config, on_event=on_event)
    from nanoaccel.runtime.replicas.client import ReplicaClient

    plans = engine_plans(this_machine(), count, config.threads, os.environ)
    return ReplicaClient(bundle, plans, backend=backend, config=config, on_event=on_event)


def engines_that_fit(bundle: Bundle, backend: str, config: EngineConfig, free: int) -> int:
    """Engines whose weights fit the memory beside the cache, at least one.

    Args:
        bundle: An opened one.
        backend: Name of a backend; "auto" may load every graph.
        config: What the user set.
        free: Bytes that may be used.
    """
    runtimes = bundle.runtimes if backend == "auto" else (backend,)
    weights = sum(weights_size(bundle.graph_for(runtime)) for runtime in runtimes)
    cache = free // _CACHE_SHARE if config.kv_cache_memory is None else config.kv_cache_memory
    return max(1, (free - cache) // max(1, _COPIES * weights))


def _auto(bundle: str | Path, backend: str, config: EngineConfig) -> int:
    wanted = engines_for(this_machine(), config.threads, os.environ)
    if wanted == 1:
        return 1
    free = free_memory()
    fitting = engines_that_fit(Bundle.open(bundle), backend, config, free)
    if fitting < wanted:
        _log.warning(
            "replicas: %d instead of one on each of %d NUMA nodes, as %d bytes of memory are free",
            fitting,
            wanted,
            free,
        )
    return min(wanted, fitting)


def _checked(replicas: object) -> int:
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 1:
        raise ConfigError(
            f"replicas={replicas!r} is no number of engines", 'It is 1 or more, or "auto"'
        )
    return replicas
