"""Puts an engine together: graph, cache, disk tier, scheduler, and the thread that runs them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

from nanoaccel.bundle import Bundle
from nanoaccel.registry import BACKENDS, EVICTION_POLICIES
from nanoaccel.runtime.backends import Backend, BackendOptions
from nanoaccel.runtime.budget import PassCost, StepBudget
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.memory import free_memory
from nanoaccel.runtime.engine import Engine
from nanoaccel.runtime.events import EventListener
from nanoaccel.runtime.kv import DiskTier, PagedCache
from nanoaccel.runtime.loop import EngineLoop
from nanoaccel.runtime.scheduler import Scheduler


def load_backend(bundle: Bundle, name: str, config: EngineConfig) -> Backend:
    """Load a bundle's graph; "auto" is the backend that it was made for.

    Raises:
        MissingExtraError: The backend is not installed.
        ConfigError: There is no such backend, or it cannot do what is asked.
        BundleError: The graph cannot be run.
    """
    eviction = config.cache_eviction
    made: Backend = BACKENDS.resolve(bundle.runtime if name == "auto" else name)(
        BackendOptions(
            graph=bundle.graph,
            threads=config.threads,
            precision=config.precision,
            cache_precision=config.cache_precision,
            weight_group_size=bundle.weight_group_size,
            attention_scores=eviction is not None and eviction.by == "score",
        )
    )
    return made


def start_engine(
    backend: Backend,
    config: EngineConfig,
    *,
    num_blocks: int,
    model_key: Callable[[], str],
    on_event: EventListener | None,
) -> EngineLoop:
    """Allocate the cache and start the engine's thread, which closes the backend at its end.

    Args:
        backend: Runs the graph.
        config: What the user set.
        num_blocks: Size of the cache.
        model_key: Names the model's weights; called when blocks go to disk.
        on_event: The user's listener.

    Raises:
        ConfigError: The cache does not fit in memory, or there is no such eviction policy.
        PromptCacheError: The folder of the prompt cache cannot be used.
    """
    policy = EVICTION_POLICIES.resolve(config.eviction_policy)()
    backend.allocate_cache(num_blocks)
    tier = _open_tier(backend, config, model_key)
    cache = PagedCache(
        num_blocks,
        backend.info.block_size,
        policy=policy,
        tier=tier,
        sharing=config.prefix_cache,
    )
    cost = PassCost()
    scheduler = Scheduler(
        cache,
        budget=StepBudget(cost, max_tokens=config.max_step_tokens, target=config.time_per_token),
        max_running=config.max_running,
        max_waiting=config.max_waiting,
        clock=time.perf_counter,
        share_prefixes=config.prefix_cache,
    )

    def make_engine(emit: EventListener) -> Engine:
        return Engine(backend, cache, scheduler, cost, emit=emit)

    def release() -> None:
        with ExitStack() as stack:
            stack.callback(backend.close)
            if tier is not None:
                stack.callback(tier.close)
            cache.save_all()

    return EngineLoop(make_engine, on_event=on_event, release=release)


def cache_blocks(bundle: Bundle, backend: Backend, config: EngineConfig) -> int:
    """Blocks that the cache of a bundle gets on this machine.

    Raises:
        ConfigError: What was asked does not fit.
    """
    return config.cache_blocks(backend.info, bundle.context_length, free_memory())


def _open_tier(
    backend: Backend, config: EngineConfig, model_key: Callable[[], str]
) -> DiskTier | None:
    if config.prompt_cache is None:
        return None
    return DiskTier(
        config.prompt_cache,
        identity=f"{model_key()} {backend.info.cache_layout}",
        max_bytes=config.prompt_cache_size,
        memory=backend,
    )
