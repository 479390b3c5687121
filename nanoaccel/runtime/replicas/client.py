"""A bundle whose engines run in other processes; prompts are checked in this one."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nanoaccel.bundle import Bundle
from nanoaccel.runtime.adapters.registry import AdapterRegistry, RegisteredAdapter
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.workload import ThreadPlan
from nanoaccel.runtime.engine.input_processor import InputProcessor
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.engine.prompts import Prompt
from nanoaccel.runtime.engine.protocol import Sink
from nanoaccel.runtime.replicas.messages import Start
from nanoaccel.runtime.replicas.pool import Pool
from nanoaccel.runtime.replicas.request import ReplicaRequest
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.scheduling.queue_limits import QueueLimits
from nanoaccel.runtime.types.events import EventListener
from nanoaccel.runtime.types.pooling import Pooling
from nanoaccel.text import Tokenizer


class ReplicaClient:
    """Several engines in processes of their own; an ``EngineClient``.

    The processes end with the last reference to this, or with the interpreter, however that ends.

    Args:
        bundle: A bundle's folder, or a plain folder that optimum-intel exported.
        plans: Where each engine runs.
        backend: Name of a backend, or "auto" for the best of the bundle's here.
        config: Options of all engines together: each gets its part of memory and of the prompt
            cache.
        on_event: Called with what happens to requests, in the pool's thread.

    Attributes:
        tokenizer: The model's.
        info: Facts about what runs the graph of the first engine.
        replicas: Engines.
        pool: Runs them.

    Raises:
        NanoAccelError: As ``InProcessClient``.
    """

    def __init__(
        self,
        bundle: str | Path,
        plans: Sequence[ThreadPlan],
        *,
        backend: str,
        config: EngineConfig,
        on_event: EventListener | None,
    ) -> None:
        opened = Bundle.open(Path(bundle))
        model_length = opened.context_length
        opened = replace(opened, context_length=config.length_within(model_length))
        self.tokenizer = Tokenizer.load(opened.tokenizer_folder)
        self.replicas = len(plans)
        configs = [_part(config, index, self.replicas) for index in range(self.replicas)]
        log_level = logging.getLogger("nanoaccel.replicas").getEffectiveLevel()
        self.pool = Pool(
            plans,
            [Start(Path(bundle), backend, part, log_level) for part in configs],
            on_event=on_event,
            limits=QueueLimits(config.max_waiting, config.max_queued_tokens),
            share_prefixes=config.prefix_cache,
        )
        weakref.finalize(self, self.pool.close)
        ready = self.pool.ready
        self.info = ready[0].info
        self._registry = AdapterRegistry(opened, ready[0].adaptable, self.info.name)
        self._changing = threading.Lock()
        if config.adapters is not None:
            self._add_adapters(config.adapters)
        # A request must fit wherever it goes.
        self._processor = InputProcessor(
            self.tokenizer,
            self.info,
            model_length=model_length,
            cache_length=min(one.cache_tokens for one in ready),
            set_length=opened.context_length,
            eviction=config.cache_eviction,
            settings=config.model_settings(opened.tokenizer_folder),
            adapters=self._registry,
        )

    @property
    def context_length(self) -> int:
        """Tokens of prompt and text together that a request may have."""
        return self._processor.context_length

    def process(
        self,
        prompt: Prompt,
        params: SamplingParams | Pooling | None,
        options: RequestOptions | None,
    ) -> list[ReplicaRequest]:
        """Make the requests of a prompt, checked as their engine will; as ``EngineClient``."""
        self.pool.owner.check()
        requests = self._processor.process(prompt, params, options)
        return [ReplicaRequest.of(request) for request in requests]

    def submit(
        self, requests: Sequence[ReplicaRequest], sink: Sink, *, even_if_full: bool = False
    ) -> None:
        """Queue requests; as ``EngineClient.submit``. The sink is called in the pool's thread.

        Raises:
            QueueFullError: The queue is full, over all engines.
            ClosedError: The client is closed, or has no engine left.
        """
        self.pool.submit(requests, sink, even_if_full=even_if_full)

    def cancel(self, requests: Sequence[ReplicaRequest]) -> None:
        """End requests that have not ended; may be called from anywhere, at any time."""
        self.pool.cancel(requests)

    def adapters(self) -> tuple[RegisteredAdapter, ...]:
        """Adapters that requests may have; as ``EngineClient.adapters``."""
        return self._registry.all()

    def add_adapter(self, name: str, folder: Path) -> None:
        """Give an adapter a name, in all engines; as ``EngineClient.add_adapter``."""
        self.pool.owner.check()
        self._add_adapters({name: folder})

    def remove_adapter(self, name: str) -> None:
        """Forget an adapter, in all engines; as ``EngineClient.remove_adapter``."""
        self.pool.owner.check()
        with self._changing:
            self._registry.remove(name)
            self.pool.set_adapters(self._registry.all())

    def set_adapters(self, adapters: tuple[RegisteredAdapter, ...]) -> None:
        """Have these adapters, in all engines; as ``EngineClient.set_adapters``."""
        with self._changing:
            self._registry.set(adapters)
            self.pool.set_adapters(adapters)

    def _add_adapters(self, folders: Mapping[str, Path]) -> None:
        with self._changing:
            self._registry.add_all(folders)
            self.pool.set_adapters(self._registry.all())

    def counters(self) -> Counters:
        """How the engines do, together."""
        return self.pool.counters()

    def close(self) -> None:
        """End everything: requests get finish_reason "cancelled". Calling it twice is fine."""
        self.pool.close()


def _part(config: EngineConfig, index: int, engines: int) -> EngineConfig:
    """What an engine is given of what is for all."""
    folder = config.prompt_cache
    return replace(
        config,
        # What is in them is checked once, and told to all.
        adapters=None if config.adapters is None else {},
        engines=engines,
        prompt_cache=None if folder is None else folder / f"replica-{index}",
        prompt_cache_size=max(1, config.prompt_cache_size // engines),
    )
