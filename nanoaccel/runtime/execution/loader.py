"""Loads a graph: the backend that runs it, with memory for its cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from nanoaccel.cached_json import versions_of
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import Backend, BackendInfo, BackendOptions
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.machine import cpu_name
from nanoaccel.runtime.cpu.threads import core_count
from nanoaccel.runtime.execution.pass_time import PassTimeModel
from nanoaccel.runtime.kv import CacheShape
from nanoaccel.runtime.native import find_operators

Role: TypeAlias = Literal["decode", "draft"]


class GraphSource(Protocol):
    """A folder with a graph for each of some backends: a bundle, or a head."""

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Names of these backends, the preferred one first."""
        ...

    @property
    def weight_group_size(self) -> int | None:
        """Weights that share a scale; None when unknown or without groups."""
        ...

    def graph_for(self, runtime: str) -> Path:
        """The file of the graph for a backend.

        Raises:
            BundleError: There is none.
        """
        ...

    def stamp(self, runtime: str | None = None) -> str:
        """Names the graph for a backend as it is now."""
        ...


@dataclass(frozen=True, slots=True)
class CacheSize:
    """What a cache shall have room for.

    Args:
        num_blocks: Blocks that sequences may hold together, by what the backend is; it may raise
            what says that there is no room.
        length: Tokens of the longest sequence.
    """

    num_blocks: Callable[[BackendInfo], int]
    length: int


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A graph that is loaded, with memory for its cache.

    Args:
        name: Name of its backend.
        key: Under which its pass times are stored.
        backend: Runs it.
        shape: Shape of its cache.
        times: How long its passes take, as far as that is known.
    """

    name: str
    key: str
    backend: Backend
    shape: CacheShape
    times: PassTimeModel = field(default_factory=PassTimeModel)


def load(
    source: GraphSource,
    name: str,
    config: EngineConfig,
    cache: CacheSize,
    *,
    hidden_layers: tuple[int, ...] = (),
    role: Role = "decode",
    adapters: bool = False,
) -> LoadedModel:
    """Load a graph, and allocate its cache.

    Args:
        source: Where the graph is.
        name: Name of a backend, not "auto".
        config: What the user set.
        cache: What its cache shall have room for.
        hidden_layers: Layers whose output is told with each step.
        role: As in ``BackendOptions``.
        adapters: As in ``BackendOptions``.

    Raises:
        NanoAccelError: As ``open_backend``; or the cache does not fit in memory.
    """
    backend = open_backend(
        source, name, config, hidden_layers=hidden_layers, role=role, adapters=adapters
    )
    try:
        key = pass_time_key(source, name, config, backend.info, role, adapters=adapters)
        return add_cache(name, key, backend, cache)
    except BaseException:
        backend.close()
        raise


def by_preference(names: Sequence[str]) -> list[str]:
    """Backends in the order in which they are tried: by facts, before anything is measured.

    NanoAccel's own operators come first where they run; then OpenVINO; stock operators last.

    Args:
        names: Backends that a bundle has graphs for.
    """
    order = [*BACKENDS.with_graphs()]
    own = find_operators().path is not None

    def rank(name: str) -> tuple[bool, int]:
        first = own and BACKENDS.facts(name).own_operators
        return not first, order.index(name) if name in order else len(order)

    return sorted(names, key=rank)


def preferred(names: Sequence[str]) -> str:
    """The first of ``by_preference`` that is installed here.

    Raises:
        MissingExtraError: None of them is.
    """
    return BACKENDS.first_installed(by_preference(names))


def open_backend(
    source: GraphSource,
    name: str,
    config: EngineConfig,
    *,
    hidden_layers: tuple[int, ...] = (),
    role: Role = "decode",
    profile: bool = False,
    adapters: bool = False,
) -> Backend:
    """Load a graph; its cache is not allocated.

    Args:
        source: Where the graph is.
        name: Name of a backend, not "auto".
        config: What the user set.
        hidden_layers: Layers whose output is told with each step.
        role: As in ``BackendOptions``.
        profile: As in ``BackendOptions``.
        adapters: As in ``BackendOptions``.

    Raises:
        MissingExtraError: The backend is not installed.
        PluginError: It is a plugin that cannot be used.
        ConfigError: There is no such backend, or it cannot do what is asked.
        BundleError: The graph cannot be run, or there is none for this backend.
    """
    make = BACKENDS.resolve(name)
    eviction = config.cache_eviction
    options = BackendOptions(
        graph=source.graph_for(name),
        threads=config.threads,
        precision=config.precision,
        cache_precision=config.cache_precision,
        weight_group_size=source.weight_group_size,
        quantization_group=config.quantization_group,
        fuse_projections=bool(config.fuse_projections),
        attention_scores=eviction is not None and eviction.by == "score",
        hidden_layers=hidden_layers,
        role=role,
        profile=profile,
        adapters=adapters,
    )
    with BACKENDS.named(name):
        backend: Backend = make(options)
        BACKENDS.check_made(name, backend)
    return backend


def add_cache(name: str, key: str, backend: Backend, size: CacheSize) -> LoadedModel:
    """Allocate the cache of a backend.

    Args:
        name: Name of the backend.
        key: As ``pass_time_key`` gives it.
        backend: What was opened.
        size: What the cache shall have room for.

    Raises:
        ConfigError: It does not fit in memory.
    """
    info = backend.info
    num_blocks = size.num_blocks(info)
    shape = CacheShape(
        num_blocks=num_blocks,
        block_size=info.block_size,
        length=size.length,
        num_states=info.num_states(num_blocks),
        state_interval=info.blocks_per_state * info.block_size,
    )
    backend.allocate_cache(shape.num_blocks)
    return LoadedModel(name, key, backend, shape)


def pass_time_key(
    source: GraphSource,
    name: str,
    config: EngineConfig,
    info: BackendInfo,
    role: Role = "decode",
    *,
    adapters: bool = False,
) -> str:
    """Names a graph with all that the time of its passes depends on.

    Args:
        source: Where the graph is.
        name: Name of its backend.
        config: What it is loaded with.
        info: What the backend is.
        role: As in ``BackendOptions``.
        adapters: As in ``BackendOptions``.
    """
    facts = BACKENDS.facts(name)
    versions = versions_of(("nanoaccel", *facts.packages))
    operators = find_operators() if facts.own_operators else None
    build = "" if operators is None else f"{operators.path} {operators.version}"
    # What another backend ignores would only make it measure again.
    tuned = {field: getattr(config, field) for field in facts.tunes}
    return (
        f"{role} {name} {versions} {source.stamp(name)} {cpu_name()} {core_count()} "
        f"{config.threads} {config.precision} {config.cache_precision} {tuned} "
        f"{info.cache_layout} {build}{' adapters' if adapters else ''}"
    )
