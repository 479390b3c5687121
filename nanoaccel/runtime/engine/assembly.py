"""Puts an engine together: graphs, caches, disk tiers, scheduler, and the thread of it all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from nanoaccel.bundle import Bundle, Head
from nanoaccel.folders import cache_folder
from nanoaccel.registry import DRAFTERS, EVICTION_POLICIES
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.engine.engine import Engine
from nanoaccel.runtime.engine.thread import EngineThread
from nanoaccel.runtime.execution.loader import Graph, Graphs
from nanoaccel.runtime.execution.pass_time import PassCost
from nanoaccel.runtime.execution.runner import ModelRunner
from nanoaccel.runtime.execution.step_time import StepCost
from nanoaccel.runtime.execution.step_timing import calibrate
from nanoaccel.runtime.kv import DiskTier, make_cache
from nanoaccel.runtime.scheduling.scheduler import Scheduler
from nanoaccel.runtime.scheduling.token_budget import StepBudget
from nanoaccel.runtime.speculation import Controller, Speculator
from nanoaccel.runtime.speculation.drafters import DrafterOptions, DraftOptions
from nanoaccel.runtime.speculation.drafters.opening import kind_of
from nanoaccel.runtime.types.events import EventListener


def start_engine(
    graphs: Graphs, config: EngineConfig, *, bundle: Bundle, on_event: EventListener | None
) -> EngineThread:
    """Start the engine's thread, which closes the graphs at its end.

    Args:
        graphs: What runs.
        config: What the user set.
        bundle: Where it is from.
        on_event: The user's listener.

    Raises:
        ConfigError: There is no such eviction policy, or the draft does not fit.
        PromptCacheError: The folder of the prompt cache cannot be used.
    """
    with ExitStack() as stack:
        costs = [_step_cost(graph, config, bundle) for graph in graphs.graphs]
        speculator = _make_speculator(graphs.graphs[0], costs[0], config, bundle)
        stack.callback(speculator.close)
        # Last of what can fail: it locks its folder.
        tiers = _open_tiers(graphs.graphs, config, bundle, stack)
        stack.pop_all()
    rooms = [
        _make_room(graph, cost, tier, config)
        for graph, cost, tier in zip(graphs.graphs, costs, tiers, strict=True)
    ]
    scheduler = Scheduler(
        rooms[0].cache,
        budget=rooms[0].budget,
        max_running=config.max_running,
        max_waiting=config.max_waiting,
        clock=time.perf_counter,
        share_prefixes=config.prefix_cache,
    )

    def make_engine(emit: EventListener) -> Engine:
        return Engine(rooms, scheduler, speculator, emit=emit, selector=graphs.chooser)

    def release() -> None:
        with ExitStack() as stack:
            stack.callback(graphs.close)
            stack.callback(speculator.close)
            for tier in tiers:
                if tier is not None:
                    stack.callback(tier.close)
            for room in rooms:
                room.cache.save_all()

    return EngineThread(make_engine, on_event=on_event, release=release)


def hidden_layers(bundle: Bundle, config: EngineConfig) -> tuple[int, ...]:
    """Layers of the target whose output a head reads."""
    draft = _draft_of(bundle, config)
    if draft is None or "head" not in _drafters(config.speculation, draft):
        return ()
    return Head.open(draft).manifest.layers


def _make_room(
    graph: Graph, step_cost: StepCost, tier: DiskTier | None, config: EngineConfig
) -> ModelRunner:
    policy = EVICTION_POLICIES.resolve(config.eviction_policy)()
    sharing = config.prefix_cache
    cost = PassCost()
    return ModelRunner(
        backend=graph.backend,
        cache=make_cache(graph.shape, graph.backend, policy=policy, tier=tier, sharing=sharing),
        pass_cost=cost,
        budget=StepBudget(cost, max_tokens=config.step_tokens, target=config.time_per_token),
        step_cost=step_cost,
    )


def _step_cost(graph: Graph, config: EngineConfig, bundle: Bundle) -> StepCost:
    """What short passes cost, where guesses depend on it."""
    cost = StepCost()
    if _drafters(config.speculation, _draft_of(bundle, config)):
        key, folder = step_cost_key(bundle, graph.runtime, config), cache_folder()
        calibrate(graph.backend, cost, room=graph.shape.first_tokens, key=key, folder=folder)
    return cost


def step_cost_key(bundle: Bundle, runtime: str, config: EngineConfig) -> str:
    """Names a graph and what its speed depends on, beside what its backend tells."""
    return bundle.stamp(runtime) + config.graph_variant


def _make_speculator(
    graph: Graph, cost: StepCost, config: EngineConfig, bundle: Bundle
) -> Speculator:
    draft = _draft_of(bundle, config)
    info = graph.backend.info
    options = DrafterOptions(
        vocab_size=info.vocab_size,
        corpus_tokens=config.corpus_tokens,
        draft=None
        if draft is None
        else DraftOptions(
            folder=draft,
            target=bundle,
            num_blocks=graph.shape.num_blocks,
            runtime=graph.runtime,
            max_running=config.max_running,
            threads=config.threads,
            precision=config.precision,
        ),
    )
    names = _drafters(config.speculation, draft)
    return Speculator(
        [DRAFTERS.resolve(name)(options) for name in names],
        Controller(cost, info.pass_size),
        vocab_size=info.vocab_size,
        max_tokens=config.step_tokens,
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


def _open_tiers(
    graphs: Sequence[Graph], config: EngineConfig, bundle: Bundle, stack: ExitStack
) -> list[DiskTier | None]:
    """A tier for each graph, in a folder of its own where there are several."""
    if config.prompt_cache is None:
        return [None] * len(graphs)
    tiers: list[DiskTier | None] = []
    for graph in graphs:
        tier = DiskTier(
            config.prompt_cache if len(graphs) == 1 else config.prompt_cache / graph.runtime,
            identity=f"{bundle.graph_key(graph.runtime)} {graph.backend.info.cache_layout}",
            max_bytes=config.prompt_cache_size // len(graphs),
            memory=graph.backend,
        )
        stack.callback(tier.close)
        tiers.append(tier)
    return tiers
