"""Puts an engine together: graph, cache, disk tier, scheduler, and the thread of it all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from nanoaccel.bundle import Bundle
from nanoaccel.folders import cache_folder
from nanoaccel.runtime.adapters.pool import AdapterPool
from nanoaccel.runtime.adapters.registry import AdapterRegistry
from nanoaccel.runtime.backends import AdapterHolder
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.engine.disk_tiers import open_tiers
from nanoaccel.runtime.engine.engine import Engine
from nanoaccel.runtime.engine.thread import EngineThread
from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.execution.pass_timing import measure_verification
from nanoaccel.runtime.execution.runner import ModelRunner
from nanoaccel.runtime.execution.state_timing import keeps_every_state
from nanoaccel.runtime.kv import BlockCopies, DiskTier
from nanoaccel.runtime.kv.plugged import make_policy
from nanoaccel.runtime.scheduling.scheduler import Scheduler
from nanoaccel.runtime.scheduling.token_budget import StepBudget
from nanoaccel.runtime.speculation import Controller, Speculator
from nanoaccel.runtime.speculation.drafters import DrafterContext, DrafterOptions, DraftOptions
from nanoaccel.runtime.speculation.drafters.selection import (
    layers_to_read,
    make_drafters,
    select_drafters,
)
from nanoaccel.runtime.types.events import EventListener


def start_engine(
    model: LoadedModel,
    config: EngineConfig,
    *,
    bundle: Bundle,
    on_event: EventListener | None,
    registry: AdapterRegistry,
) -> EngineThread:
    """Start the engine's thread, which closes the graph at its end.

    Args:
        model: What runs.
        config: What the user set.
        bundle: Where it is from.
        on_event: The user's listener.
        registry: Adapters that its requests may have.

    Raises:
        ConfigError: There is no such eviction policy, or the draft does not fit.
        PromptCacheError: The folder of the prompt cache cannot be used.
    """
    with ExitStack() as stack:
        speculator = _make_speculator(model, config, bundle)
        stack.callback(speculator.close)
        # Last of what can fail: they lock their folder.
        tiers = open_tiers(model, config, bundle)
        stack.pop_all()
    runner = _make_runner(model, tiers, config)
    adapters = _make_adapters(model, config, registry)
    scheduler = Scheduler(
        runner.cache,
        budget=runner.budget,
        max_running=config.max_running,
        max_waiting=config.max_waiting,
        max_queued_tokens=config.max_queued_tokens,
        clock=time.perf_counter,
        share_prefixes=config.prefix_cache,
        adapters=adapters,
    )

    def make_engine(emit: EventListener) -> Engine:
        return Engine(runner, scheduler, speculator, emit=emit)

    def release() -> None:
        with ExitStack() as stack:
            stack.callback(model.backend.close)
            if adapters is not None:
                stack.callback(adapters.close)
            stack.callback(speculator.close)
            for tier in tiers:
                stack.callback(tier.close)
            runner.cache.save_all()

    thread = EngineThread(make_engine, on_event=on_event, release=release)
    if adapters is not None:
        adapters.wake = thread.wake
    return thread


def hidden_layers(bundle: Bundle, config: EngineConfig) -> tuple[int, ...]:
    """Layers of the target whose output drafters read.

    Raises:
        NanoAccelError: As ``selection.layers_to_read``.
    """
    return layers_to_read(config.speculation, _context(bundle, config))


def _make_runner(
    model: LoadedModel, tiers: Sequence[DiskTier], config: EngineConfig
) -> ModelRunner:
    policy = make_policy(config.eviction_policy)
    backend, times = model.backend, model.times
    tier, state_tier = (*tiers, None, None)[:2]
    drafts = model.shape.num_states > 0 and config.speculation != "off"
    cache = model.shape.new_cache(
        policy=policy,
        tier=tier,
        state_tier=state_tier,
        every_state=not drafts or keeps_every_state(model, cache_folder()),
        sharing=config.prefix_cache,
        # Elsewhere a text could change with what was asked before it.
        copy=BlockCopies(backend).copy if backend.info.batch_invariant else None,
    )
    return ModelRunner(
        backend=backend,
        cache=cache,
        times=times,
        budget=StepBudget(times.step, max_tokens=config.step_tokens, target=config.time_per_token),
    )


def _make_adapters(
    model: LoadedModel, config: EngineConfig, registry: AdapterRegistry
) -> AdapterPool | None:
    """What loads adapters; None where the backend cannot hold any."""
    if not registry.adaptable or not isinstance(model.backend, AdapterHolder):
        return None
    return AdapterPool(
        model.backend,
        registry.load,
        registry.all,
        slots=config.max_loaded_adapters,
        executor=ThreadPoolExecutor(1, "nanoaccel-adapters"),
    )


def _make_speculator(model: LoadedModel, config: EngineConfig, bundle: Bundle) -> Speculator:
    """The drafters that take part, and what short passes take where there are any."""
    context = _context(bundle, config)
    factories = select_drafters(config.speculation, context)
    if factories:
        measure_verification(model, cache_folder())
    info = model.backend.info
    draft = None
    if context.draft is not None:
        draft = DraftOptions(
            folder=context.draft,
            target=bundle,
            num_blocks=model.shape.num_blocks,
            backend=model.name,
            max_running=config.max_running,
            threads=config.threads,
            precision=config.precision,
        )
    options = DrafterOptions(
        vocab_size=info.vocab_size, corpus_tokens=config.corpus_tokens, draft=draft
    )
    return Speculator(
        make_drafters(config.speculation, factories, options),
        Controller(model.times.verify, info.pass_size),
        vocab_size=info.vocab_size,
        max_tokens=config.step_tokens,
    )


def _context(bundle: Bundle, config: EngineConfig) -> DrafterContext:
    draft = bundle.draft if config.draft is None else config.draft
    return DrafterContext(target=bundle, draft=draft)
