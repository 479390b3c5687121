"""A bundle whose engine runs in this process."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from nanoaccel.bundle import Bundle
from nanoaccel.bundle.in_use import hold
from nanoaccel.bundle.known import note_used
from nanoaccel.runtime.adapters.registry import AdapterRegistry, RegisteredAdapter
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.engine.assembly import hidden_layers, start_engine
from nanoaccel.runtime.engine.input_processor import InputProcessor
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.engine.page_compaction import PageCompaction
from nanoaccel.runtime.engine.prompts import Prompt
from nanoaccel.runtime.engine.protocol import Sink
from nanoaccel.runtime.engine.thread import EngineThread
from nanoaccel.runtime.execution.target import TargetLoader, adaptable_by
from nanoaccel.runtime.execution.tuned.setting import apply, tuned_backend
from nanoaccel.runtime.execution.tuned.stored import tuned_setting
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.types.events import EventListener
from nanoaccel.runtime.types.pooling import Pooling
from nanoaccel.text import Tokenizer


class InProcessClient:
    """An engine that runs in this process; an ``EngineClient``.

    The engine's thread ends with the last reference to this, or with the interpreter.

    Args:
        bundle: A bundle's folder, or a plain folder that optimum-intel exported; or an opened one.
        backend: Name of a backend, or "auto" for the best of the bundle's here.
        config: Everything else.
        on_event: Called with what happens to requests, in the engine's thread.

    Attributes:
        tokenizer: The model's.
        info: What runs the graph.
        replicas: Number of engines: one.
        cache_tokens: Tokens that the cache holds.
        registry: Adapters that requests may have.
        thread: The engine's thread.

    Raises:
        BundleError: The folder is not a bundle, or is damaged.
        MissingExtraError: The backend is not installed.
        ConfigError: An option is wrong.
        PromptCacheError: The folder of the prompt cache cannot be used.
    """

    replicas = 1

    def __init__(
        self,
        bundle: str | Path | Bundle,
        *,
        backend: str,
        config: EngineConfig,
        on_event: EventListener | None,
    ) -> None:
        pages = HugePages()
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self._held = hold(opened.folder)
        if self._held is not None:
            weakref.finalize(self, self._held.close)  # also when what follows fails
        note_used(opened.folder)
        model_length = opened.context_length
        opened = replace(opened, context_length=config.length_within(model_length))
        self.tokenizer = Tokenizer.load(opened.tokenizer_folder)
        setting = tuned_setting(opened, backend, config)
        graph_config = apply(config, setting, os.environ)
        loader = TargetLoader(
            bundle=opened, config=graph_config, hidden_layers=hidden_layers(opened, config)
        )
        model = loader.load(tuned_backend(backend, config, setting))
        # Threads and precision were tuned for the target; a draft has its own.
        config = replace(
            config,
            max_step_tokens=graph_config.max_step_tokens,
            quantization_group=graph_config.quantization_group,
            fuse_projections=graph_config.fuse_projections,
        )
        self.info = model.backend.info
        try:
            self.cache_tokens = model.shape.num_blocks * self.info.block_size
            self.registry = AdapterRegistry(opened, adaptable_by(model.backend), model.name)
            self.registry.add_all(config.adapters)
            self._processor = InputProcessor(
                self.tokenizer,
                self.info,
                model_length=model_length,
                cache_length=self.cache_tokens,
                set_length=opened.context_length,
                eviction=config.cache_eviction,
                settings=config.model_settings(opened.tokenizer_folder),
                adapters=self.registry,
                context_note=opened.context_note,
            )
            self.thread = start_engine(
                model, config, bundle=opened, on_event=on_event, registry=self.registry
            )
        except BaseException:
            model.backend.close()
            raise
        self._compaction = PageCompaction(pages, self.thread.engine)
        weakref.finalize(self, _close, self.thread, self._compaction, self._held)

    @property
    def context_length(self) -> int:
        """Tokens of prompt and text together that a request may have."""
        return self._processor.context_length

    def process(
        self,
        prompt: Prompt,
        params: SamplingParams | Pooling | None,
        options: RequestOptions | None,
    ) -> list[Request]:
        """Make the requests of a prompt; as ``EngineClient.process``."""
        self.thread.owner.check()
        return self._processor.process(prompt, params, options)

    def submit(
        self, requests: Sequence[Request], sink: Sink, *, even_if_full: bool = False
    ) -> None:
        """Queue requests; as ``EngineClient.submit``. The sink is called in the engine's thread."""
        self.thread.submit(requests, sink, even_if_full=even_if_full)

    def cancel(self, requests: Sequence[Request]) -> None:
        """End requests that have not ended; may be called from anywhere, at any time."""
        self.thread.cancel(requests)

    def adapters(self) -> tuple[RegisteredAdapter, ...]:
        """Adapters that requests may have; as ``EngineClient.adapters``."""
        return self.registry.all()

    def add_adapter(self, name: str, folder: Path) -> None:
        """Give an adapter a name; as ``EngineClient.add_adapter``."""
        self.thread.owner.check()
        self.registry.add(name, folder)

    def remove_adapter(self, name: str) -> None:
        """Forget an adapter; as ``EngineClient.remove_adapter``."""
        self.thread.owner.check()
        self.registry.remove(name)
        self.thread.wake()

    def set_adapters(self, adapters: tuple[RegisteredAdapter, ...]) -> None:
        """Have these adapters; as ``EngineClient.set_adapters``."""
        self.registry.set(adapters)
        self.thread.wake()

    def counters(self) -> Counters:
        """How the engine does."""
        return self.thread.counters()

    def close(self) -> None:
        """End everything: requests get finish_reason "cancelled". Calling it twice is fine."""
        _close(self.thread, self._compaction, self._held)

    def compact_pages(self) -> None:
        """Move what is loaded to large pages now, so that it does not happen in a measurement."""
        self.thread.owner.check()
        self._compaction.run()


def _close(thread: EngineThread, compaction: PageCompaction, held: IO[bytes] | None) -> None:
    if held is not None:
        held.close()
    if thread.owner.is_here:
        compaction.close()
        thread.close()
