"""Puts an engine together: graph, cache, disk tier, scheduler, and the thread that runs them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from nanoaccel.bundle import Bundle, Head
from nanoaccel.folders import cache_folder
from nanoaccel.registry import BACKENDS, DRAFTERS, EVICTION_POLICIES
from nanoaccel.runtime.backends import Backend, BackendOptions
from nanoaccel.runtime.budget import PassCost, StepBudget
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.memory import free_memory
from nanoaccel.runtime.drafters import DrafterOptions, DraftOptions
from nanoaccel.runtime.drafters.opening import kind_of
from nanoaccel.runtime.engine import Engine
from nanoaccel.runtime.events import EventListener
from nanoaccel.runtime.kv import DiskTier, PagedCache
from nanoaccel.runtime.loop import EngineLoop
from nanoaccel.runtime.scheduler import Scheduler
from nanoaccel.runtime.speculation import Controller, Speculator, StepCost
from nanoaccel.runtime.speculation.calibration import calibrate


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
            hidden_layers=_hidden_layers(bundle, config),
        )
    )
    return made


def start_engine(
    backend: Backend,
    config: EngineConfig,
    *,
    num_blocks: int,
    bundle: Bundle,
    on_event: EventListener | None,
) -> EngineLoop:
    """Allocate the cache and start the engine's thread, which closes the backend at its end.

    Args:
        backend: Runs the graph.
        config: What the user set.
        num_blocks: Size of the cache.
        bundle: What runs.
        on_event: The user's listener.

    Raises:
        ConfigError: The cache does not fit in memory, or there is no such eviction policy.
        PromptCacheError: The folder of the prompt cache cannot be used.
    """
    policy = EVICTION_POLICIES.resolve(config.eviction_policy)()
    backend.allocate_cache(num_blocks)
    speculator = _make_speculator(backend, config, num_blocks, bundle)
    # Last of what can fail: it locks its folder.
    tier = _open_tier(backend, config, bundle)
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
        return Engine(backend, cache, scheduler, cost, speculator, emit=emit)

    def release() -> None:
        with ExitStack() as stack:
            stack.callback(backend.close)
            stack.callback(speculator.close)
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


def _make_speculator(
    backend: Backend, config: EngineConfig, num_blocks: int, bundle: Bundle
) -> Speculator:
    draft = _draft_of(bundle, config)
    options = DrafterOptions(
        vocab_size=backend.info.vocab_size,
        corpus_tokens=config.corpus_tokens,
        draft=None
        if draft is None
        else DraftOptions(
            folder=draft,
            target=bundle,
            num_blocks=num_blocks,
            threads=config.threads,
            precision=config.precision,
        ),
    )
    names = _drafters(config.speculation, draft)
    cost = StepCost()
    if names:
        key, folder = bundle.stamp(), cache_folder()
        calibrate(backend, cost, num_blocks=num_blocks, key=key, folder=folder)
    return Speculator(
        [DRAFTERS.resolve(name)(options) for name in names],
        Controller(cost, backend.info.pass_size),
        vocab_size=backend.info.vocab_size,
        max_tokens=config.max_step_tokens,
    )


def _draft_of(bundle: Bundle, config: EngineConfig) -> Path | None:
    return bundle.draft if config.draft is None else config.draft


def _drafters(speculation: str, draft: Path | None) -> list[str]:
    """The drafters that take part."""
    if speculation == "off":
        return []
    if speculation != "auto":
        return [speculation]
    return ["ngram"] if draft is None else ["ngram", kind_of(draft)]


def _hidden_layers(bundle: Bundle, config: EngineConfig) -> tuple[int, ...]:
    """Layers of the target whose output a head reads."""
    draft = _draft_of(bundle, config)
    if draft is None or "head" not in _drafters(config.speculation, draft):
        return ()
    return Head.open(draft).manifest.layers


def _open_tier(backend: Backend, config: EngineConfig, bundle: Bundle) -> DiskTier | None:
    if config.prompt_cache is None:
        return None
    return DiskTier(
        config.prompt_cache,
        identity=f"{bundle.graph_key()} {backend.info.cache_layout}",
        max_bytes=config.prompt_cache_size,
        memory=backend,
    )
