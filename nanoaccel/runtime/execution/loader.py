"""Loads the graphs of a bundle: the one that was named, or those that are fastest at something."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError, MissingExtraError
from nanoaccel.folders import cache_folder
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import Backend, BackendOptions
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.machine import cpu_name
from nanoaccel.runtime.cpu.memory import free_memory
from nanoaccel.runtime.cpu.threads import core_count
from nanoaccel.runtime.execution.pass_timing import measure_prices, recall_prices
from nanoaccel.runtime.execution.selector import GraphSelector, Prices, worth_keeping
from nanoaccel.runtime.kv import CacheShape


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph that is loaded, with memory for its cache.

    Args:
        runtime: Name of its backend.
        backend: Runs it.
        shape: Of its cache.
    """

    runtime: str
    backend: Backend
    shape: CacheShape


@dataclass(frozen=True, slots=True)
class Graphs:
    """What an engine runs.

    Args:
        graphs: One, or several of one model.
        chooser: Says which of several.
    """

    graphs: Sequence[Graph]
    chooser: GraphSelector | None = None

    def close(self) -> None:
        """Free them."""
        for graph in self.graphs:
            graph.backend.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphLoader:
    """Loads graphs of a bundle.

    Args:
        bundle: An opened one.
        config: What the user set.
        hidden_layers: Layers that a head reads.
    """

    bundle: Bundle
    config: EngineConfig
    hidden_layers: tuple[int, ...] = ()

    def backend(self, name: str) -> Backend:
        """Load a graph; "auto" is the first that is installed here. Its cache is not allocated.

        Raises:
            MissingExtraError: The backend is not installed.
            ConfigError: There is no such backend, or it cannot do what is asked.
            BundleError: The graph cannot be run, or the bundle has none for it.
        """
        bundle, config = self.bundle, self.config
        runtime = BACKENDS.first_installed(bundle.runtimes) if name == "auto" else name
        load = BACKENDS.resolve(runtime)
        eviction = config.cache_eviction
        made: Backend = load(
            BackendOptions(
                graph=bundle.graph_for(runtime),
                threads=config.threads,
                precision=config.precision,
                cache_precision=config.cache_precision,
                weight_group_size=bundle.weight_group_size,
                quantization_group=config.quantization_group,
                fuse_projections=bool(config.fuse_projections),
                attention_scores=eviction is not None and eviction.by == "score",
                hidden_layers=self.hidden_layers,
            )
        )
        return made

    def graphs(self, name: str) -> Graphs:
        """Load what shall run, and allocate its cache.

        Args:
            name: Of a backend; "auto" is all that are the fastest at something.

        Raises:
            NanoAccelError: As ``backend``; or the cache does not fit.
        """
        runtimes, known = self._wanted() if name == "auto" else ([name], None)
        with ExitStack() as stack:
            graphs = self._load_all(runtimes, stack)
            if len(graphs) > 1 and (known is None or len(known) != len(graphs)):
                by_key = {self.key(graph.runtime): (graph.backend, graph.shape) for graph in graphs}
                known = measure_prices(by_key, cache_folder())
                kept = worth_keeping(known)
                for place, graph in enumerate(graphs):
                    if place not in kept:
                        graph.backend.close()
                graphs, known = [graphs[i] for i in kept], [known[i] for i in kept]
            stack.pop_all()
        several = known is not None and len(graphs) > 1
        return Graphs(graphs, GraphSelector(known) if known is not None and several else None)

    def graph(self, runtime: str, share: int = 1) -> Graph:
        """Load one graph, and allocate its cache.

        Args:
            runtime: Name of a backend.
            share: Graphs that share the memory.

        Raises:
            NanoAccelError: As ``backend``; or the cache does not fit.
        """
        backend = self.backend(runtime)
        try:
            return Graph(runtime, backend, self._allocate(backend, share))
        except BaseException:
            backend.close()
            raise

    def _wanted(self) -> tuple[Sequence[str], Sequence[Prices] | None]:
        """The runtimes to load, with their prices if they are known."""
        runtimes = self.bundle.runtimes
        keys = [self.key(runtime) for runtime in runtimes]
        known = recall_prices(keys, cache_folder()) if len(keys) > 1 else None
        if known is not None:
            kept = worth_keeping(known)
            with suppress(MissingExtraError):
                found = BACKENDS.installed([runtimes[place] for place in kept])
                return found, [known[place] for place in kept]
        return BACKENDS.installed(runtimes), None

    def _load_all(self, runtimes: Sequence[str], stack: ExitStack) -> list[Graph]:
        """Load graphs; of several, those that can do what is asked."""
        graphs: list[Graph] = []
        refused: ConfigError | None = None
        for runtime in runtimes:
            try:
                backend = self.backend(runtime)
            except ConfigError as error:
                refused = error
                continue
            stack.callback(backend.close)
            if graphs and backend.info.block_size != graphs[0].backend.info.block_size:
                backend.close()
                continue
            graphs.append(Graph(runtime, backend, self._allocate(backend, len(runtimes))))
        if not graphs:
            assert refused is not None, "a bundle has a graph"
            raise refused
        return graphs

    def _allocate(self, backend: Backend, share: int) -> CacheShape:
        """Allocate the cache of a graph, one of so many of its engine that share the memory."""
        info, config, free = backend.info, self.config, free_memory()
        length = self.bundle.context_length
        share *= config.engines
        if config.kv_cache_memory is None:
            free //= share
        else:
            config = replace(config, kv_cache_memory=max(1, config.kv_cache_memory // share))
        shape = CacheShape.of(
            num_blocks=config.cache_blocks(info, length, free),
            block_size=info.block_size,
            slots=info.slots,
            sequences=config.max_running,
            length=length,
        )
        shape.allocate(backend)
        return shape

    def key(self, runtime: str) -> str:
        """All that the speed of a graph depends on."""
        config = self.config
        return (
            f"{self.bundle.stamp(runtime)} {cpu_name()} {core_count()} {config.threads} "
            f"{config.precision} {config.cache_precision}{config.graph_variant}"
        )
