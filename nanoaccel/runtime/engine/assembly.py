"""Puts an engine together: graphs, caches, disk tiers, scheduler, and the thread of it all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from nanoaccel.bundle import Bundle
from nanoaccel.folders import cache_folder
from nanoaccel.registry import EVICTION_POLICIES
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.engine.engine import Engine
from nanoaccel.runtime.engine.thread import EngineThread
from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.execution.pass_timing import measure_verification
from nanoaccel.runtime.execution.runner import ModelRunner
from nanoaccel.runtime.execution.target import LoadedModels
from nanoaccel.runtime.kv import DiskTier, make_cache
from nanoaccel.runtime.scheduling.scheduler import Scheduler
from nanoaccel.runtime.scheduling.token_budget import StepBudget
from nanoaccel.runtime.speculation import Controller, Speculator
from nanoaccel.runtime.speculation.drafters import DrafterContext, DrafterOptions, DraftOptions
from nanoaccel.runtime.speculation.drafters.selection import layers_to_read, select_drafters
from nanoaccel.runtime.types.events import EventListener


def start_engine(
    loaded: LoadedModels, config: EngineConfig, *, bundle: Bundle, on_event: EventListener | None
) -> EngineThread:
    """Start the engine's thread, which closes what was loaded at its end.

    Args:
        loaded: What runs.
        config: What the user set.
        bundle: Where it is from.
        on_event: The user's listener.

    Raises:
        ConfigError: There is no such eviction policy, or the draft does not fit.
        PromptCacheError: The folder of the prompt cache cannot be used.
    """
    with ExitStack() as stack:
        speculator = _make_speculator(loaded.models, config, bundle)
        stack.callback(speculator.close)
        # Last of what can fail: it locks its folder.
        tiers = _open_tiers(loaded.models, config, bundle, stack)
        stack.pop_all()
    runners = [
        _make_runner(model, tier, config) for model, tier in zip(loaded.models, tiers, strict=True)
    ]
    scheduler = Scheduler(
        runners[0].cache,
        budget=runners[0].budget,
        max_running=config.max_running,
        max_waiting=config.max_waiting,
        max_queued_tokens=config.max_queued_tokens,
        clock=time.perf_counter,
        share_prefixes=config.prefix_cache,
    )

    def make_engine(emit: EventListener) -> Engine:
        return Engine(runners, scheduler, speculator, emit=emit, selector=loaded.selector)

    def release() -> None:
        with ExitStack() as stack:
            stack.callback(loaded.close)
            stack.callback(speculator.close)
            for tier in tiers:
                if tier is not None:
                    stack.callback(tier.close)
            for runner in runners:
                runner.cache.save_all()

    return EngineThread(make_engine, on_event=on_event, release=release)


def hidden_layers(bundle: Bundle, config: EngineConfig) -> tuple[int, ...]:
    """Layers of the target whose output drafters read.

    Raises:
        NanoAccelError: As ``selection.layers_to_read``.
    """
    return layers_to_read(config.speculation, _context(bundle, config))


def _make_runner(model: LoadedModel, tier: DiskTier | None, config: EngineConfig) -> ModelRunner:
    policy = EVICTION_POLICIES.resolve(config.eviction_policy)()
    backend, times = model.backend, model.times
    return ModelRunner(
        backend=backend,
        cache=make_cache(
            model.shape, backend, policy=policy, tier=tier, sharing=config.prefix_cache
        ),
        times=times,
        budget=StepBudget(times.step, max_tokens=config.step_tokens, target=config.time_per_token),
    )


def _make_speculator(
    models: Sequence[LoadedModel], config: EngineConfig, bundle: Bundle
) -> Speculator:
    """The drafters that take part, and what short passes take where there are any."""
    context = _context(bundle, config)
    factories = select_drafters(config.speculation, context)
    if factories:
        for model in models:
            measure_verification(model, cache_folder())
    first = models[0]
    info = first.backend.info
    draft = None
    if context.draft is not None:
        draft = DraftOptions(
            folder=context.draft,
            target=bundle,
            num_blocks=first.shape.num_blocks,
            backend=first.name,
            max_running=config.max_running,
            threads=config.threads,
            precision=config.precision,
        )
    options = DrafterOptions(
        vocab_size=info.vocab_size, corpus_tokens=config.corpus_tokens, draft=draft
    )
    return Speculator(
        [factory(options) for factory in factories.values()],
        Controller(first.times.verify, info.pass_size),
        vocab_size=info.vocab_size,
        max_tokens=config.step_tokens,
    )


def _context(bundle: Bundle, config: EngineConfig) -> DrafterContext:
    draft = bundle.draft if config.draft is None else config.draft
    return DrafterContext(target=bundle, draft=draft)


def _open_tiers(
    models: Sequence[LoadedModel], config: EngineConfig, bundle: Bundle, stack: ExitStack
) -> list[DiskTier | None]:
    """A tier for each model, in a folder of its own where there are several."""
    if config.prompt_cache is None:
        return [None] * len(models)
    tiers: list[DiskTier | None] = []
    for model in models:
        tier = DiskTier(
            config.prompt_cache if len(models) == 1 else config.prompt_cache / model.name,
            identity=f"{bundle.graph_key(model.name)} {model.backend.info.cache_layout}",
            max_bytes=config.prompt_cache_size // len(models),
            memory=model.backend,
        )
        stack.callback(tier.close)
        tiers.append(tier)
    return tiers
