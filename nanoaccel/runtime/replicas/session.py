"""What the faces use where several engines run: prompts are checked here, and run elsewhere."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nanoaccel.bundle import Bundle
from nanoaccel.runtime.config import EngineConfig, RequestOptions
from nanoaccel.runtime.cpu.workload import ThreadPlan
from nanoaccel.runtime.engine.input_processor import InputProcessor, ProcessedInput
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.engine.prompts import Prompt
from nanoaccel.runtime.replicas.messages import Start
from nanoaccel.runtime.replicas.pool import Pool
from nanoaccel.runtime.replicas.task import Task
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.types.events import EventListener
from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.text import Tokenizer


class ReplicaSubmission:
    """The completions of one prompt; a ``serving.Submission``.

    Args:
        prepared: The prompt.
        session: Runs them; it stays open as long as anybody holds this.
    """

    def __init__(self, prepared: ProcessedInput, session: ReplicaClient) -> None:
        self.prompt_ids = prepared.prompt_ids
        self._prepared = prepared
        self._session = session
        self._tasks: list[Task] = []

    @property
    def count(self) -> int:
        """Completions; as many chunks with a finish reason will come."""
        return len(self._prepared.numbers)

    def submit(self, sink: Callable[[Chunk], None], *, even_if_full: bool) -> None:
        """Queue them, together; the sink is called in the pool's thread.

        Raises:
            QueueFullError: ``max_waiting`` wait already, over all engines.
            ClosedError: The session is closed, or has no engine left.
        """
        pool, prepared = self._session.pool, self._prepared
        prompt = np.array(prepared.prompt_ids, np.int32).tobytes()
        chain = pool.chain(prompt)
        self._tasks = [
            Task(
                number=number,
                index=index,
                prompt=prompt,
                chain=chain,
                params=_params_of(prepared, index),
                options=prepared.options,
                deadline=prepared.deadline,
                sink=sink,
            )
            for index, number in enumerate(prepared.numbers)
        ]
        pool.submit(self._tasks, even_if_full=even_if_full)

    def cancel(self) -> None:
        """End those that have not ended; may be called from anywhere, at any time."""
        self._session.pool.cancel(self._tasks)


class ReplicaClient:
    """Several engines, and the way from a prompt to its completions; a ``serving.EngineClient``.

    The processes end with the last reference to this, or with the interpreter, however that ends.

    Args:
        bundle: A bundle's folder, or a plain folder that optimum-intel exported.
        plans: Where each engine runs.
        backend: Name of a backend, or "auto" for the one that the bundle was made for.
        config: Of all together: each engine gets its part of memory and of the prompt cache.
        on_event: Is told what happens to requests, in the pool's thread.

    Attributes:
        tokenizer: The model's.
        info: Of what runs the graph of the first engine.
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
        configs = [_part(config, place, self.replicas) for place in range(self.replicas)]
        self.pool = Pool(
            plans,
            [Start(Path(bundle), backend, part) for part in configs],
            on_event=on_event,
            max_waiting=config.max_waiting,
            share_prefixes=config.prefix_cache,
        )
        weakref.finalize(self, self.pool.close)
        ready = self.pool.ready
        self.info = ready[0].info
        # A request must fit wherever it goes.
        self._preparer = InputProcessor(
            self.tokenizer,
            self.info,
            model_length=model_length,
            cache_length=min(one.cache_tokens for one in ready),
            set_length=opened.context_length,
            eviction=config.cache_eviction,
            settings=config.model_settings(opened.tokenizer_folder),
        )

    @property
    def context_length(self) -> int:
        """Tokens of prompt and text together that a request may have."""
        return self._preparer.context_length

    def prepare(
        self, prompt: Prompt, params: SamplingParams | None, options: RequestOptions | None
    ) -> ReplicaSubmission:
        """Check a prompt as its engine will; as ``serving.EngineClient.prepare``."""
        self.pool.owner.check()
        prepared = self._preparer.prepare(prompt, params, options)
        self._preparer.request(prepared, 0)  # raises what would be raised there
        return ReplicaSubmission(prepared, self)

    def counters(self) -> Counters:
        """How the engines do, together."""
        return self.pool.counters()

    def close(self) -> None:
        """End everything: requests get finish_reason "cancelled". Calling it twice is fine."""
        self.pool.close()


def _params_of(prepared: ProcessedInput, index: int) -> SamplingParams:
    """Those of one completion; the engine cuts again what does not fit."""
    params = prepared.params
    most = max(prepared.max_tokens, params.min_tokens)
    return replace(params, n=1, seed=prepared.seed + index, max_tokens=most)


def _part(config: EngineConfig, place: int, engines: int) -> EngineConfig:
    """What an engine is given of what is for all."""
    folder = config.prompt_cache
    return replace(
        config,
        engines=engines,
        prompt_cache=None if folder is None else folder / f"replica-{place}",
        prompt_cache_size=max(1, config.prompt_cache_size // engines),
    )
