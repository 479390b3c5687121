"""An opened bundle with its engine in this process, and requests made from prompts."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nanoaccel.bundle import Bundle
from nanoaccel.folders import cache_folder
from nanoaccel.runtime.config import EngineConfig, RequestOptions
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.engine.assembly import hidden_layers, start_engine
from nanoaccel.runtime.engine.input_processor import InputProcessor
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.engine.page_compaction import PageCompaction
from nanoaccel.runtime.engine.prompts import Prompt
from nanoaccel.runtime.engine.thread import EngineThread
from nanoaccel.runtime.execution.target import TargetLoader
from nanoaccel.runtime.execution.tuned.setting import Setting, apply, tuned_backend
from nanoaccel.runtime.execution.tuned.stored import find_tuning
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.types.events import EventListener
from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.text import Tokenizer


class EngineSubmission:
    """The requests of one prompt, one for each completion; a ``serving.Submission``.

    Args:
        prompt_ids: The prompt.
        requests: Its completions.
        session: Runs them; it stays open as long as anybody holds this.
    """

    def __init__(
        self, prompt_ids: list[int], requests: list[Request], session: InProcessClient
    ) -> None:
        self.prompt_ids = prompt_ids
        self._requests = requests
        self._session = session

    @property
    def count(self) -> int:
        """Completions; as many chunks with a finish reason will come."""
        return len(self._requests)

    @property
    def request_ids(self) -> list[int]:
        """Numbers of the requests, as events name them."""
        return [request.id for request in self._requests]

    def submit(self, sink: Callable[[Chunk], None], *, even_if_full: bool) -> None:
        """Queue them, together; the sink is called in the engine's thread.

        Raises:
            QueueFullError: The queue has no room for all of them.
            ClosedError: The session is closed.
        """
        self._session.loop.submit(self._requests, sink, even_if_full=even_if_full)

    def cancel(self) -> None:
        """End those that have not ended; may be called from anywhere, at any time."""
        self._session.loop.cancel(self._requests)


class InProcessClient:
    """An engine that runs, and the way from a prompt to its requests; a ``serving.EngineClient``.

    The engine's thread ends with the last reference to this, or with the interpreter.

    Args:
        bundle: A bundle's folder, or a plain folder that optimum-intel exported; or an opened one.
        backend: Name of a backend, or "auto" for the one that the bundle was made for.
        config: Everything else.
        on_event: Is told what happens to requests, in the engine's thread.

    Attributes:
        tokenizer: The model's.
        info: Of what runs the graph.
        replicas: One.
        cache_tokens: That the cache holds.

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
        model_length = opened.context_length
        opened = replace(opened, context_length=config.length_within(model_length))
        self.tokenizer = Tokenizer.load(opened.tokenizer_folder)
        setting = _tuned(opened, backend, config)
        graph_config = apply(config, setting, os.environ)
        loader = TargetLoader(
            bundle=opened, config=graph_config, hidden_layers=hidden_layers(opened, config)
        )
        loaded = loader.load(tuned_backend(backend, config, setting))
        # Threads and precision were tuned for the target; a draft has its own.
        config = replace(
            config,
            max_step_tokens=graph_config.max_step_tokens,
            quantization_group=graph_config.quantization_group,
            fuse_projections=graph_config.fuse_projections,
        )
        self.info = loaded.models[0].backend.info
        try:
            fewest = min(model.shape.num_blocks for model in loaded.models)
            self.cache_tokens = fewest * self.info.block_size
            self._preparer = InputProcessor(
                self.tokenizer,
                self.info,
                model_length=model_length,
                cache_length=self.cache_tokens,
                set_length=opened.context_length,
                eviction=config.cache_eviction,
                settings=config.model_settings(opened.tokenizer_folder),
                context_note=opened.context_note,
            )
            self.loop = start_engine(loaded, config, bundle=opened, on_event=on_event)
        except BaseException:
            loaded.close()
            raise
        self._settling = PageCompaction(pages, self.loop.engine)
        weakref.finalize(self, _close, self.loop, self._settling)

    @property
    def context_length(self) -> int:
        """Tokens of prompt and text together that a request may have."""
        return self._preparer.context_length

    def prepare(
        self, prompt: Prompt, params: SamplingParams | None, options: RequestOptions | None
    ) -> EngineSubmission:
        """Make the requests of a prompt; as ``serving.EngineClient.prepare``."""
        self.loop.owner.check()
        prepared = self._preparer.prepare(prompt, params, options)
        requests = [
            self._preparer.request(prepared, index) for index in range(len(prepared.numbers))
        ]
        return EngineSubmission(prepared.prompt_ids, requests, self)

    def counters(self) -> Counters:
        """How the engine does."""
        return self.loop.counters()

    def close(self) -> None:
        """End everything: requests get finish_reason "cancelled". Calling it twice is fine."""
        _close(self.loop, self._settling)

    def settle(self) -> None:
        """Do now what is done once for an engine that lives on, so that no measurement meets it."""
        self.loop.owner.check()
        self._settling.settle()


def _close(loop: EngineThread, settling: PageCompaction) -> None:
    if loop.owner.is_here:
        settling.close()
        loop.close()


def _tuned(bundle: Bundle, backend: str, config: EngineConfig) -> Setting:
    """What was tuned for a bundle here, where it is for the backend that the user wants."""
    tuning = find_tuning(bundle, cache_folder()) if config.tuned else None
    if tuning is None:
        return Setting()
    fits = backend in ("auto", tuning.setting.runtime) or bundle.runtimes == (backend,)
    return tuning.setting if fits else Setting()
