"""Loads what an engine runs: the graph that was named, or those that are fastest at something."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError, MissingExtraError
from nanoaccel.folders import cache_folder
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import Backend, BackendInfo
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.memory import free_memory
from nanoaccel.runtime.execution.loader import (
    CacheSize,
    LoadedModel,
    add_cache,
    open_backend,
    pass_time_key,
)
from nanoaccel.runtime.execution.pass_time import PassTimeModel
from nanoaccel.runtime.execution.pass_timing import load_decoding, measure_decoding
from nanoaccel.runtime.execution.selector import GraphSelector, worth_keeping


@dataclass(frozen=True, slots=True)
class LoadedModels:
    """What an engine runs.

    Args:
        models: One, or several graphs of one model.
        selector: Chooses among several.
    """

    models: Sequence[LoadedModel]
    selector: GraphSelector | None = None

    def close(self) -> None:
        """Free them."""
        for model in self.models:
            model.backend.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetLoader:
    """Loads graphs of a bundle.

    Args:
        bundle: An opened one.
        config: What the user set.
        hidden_layers: Layers that drafters read.
    """

    bundle: Bundle
    config: EngineConfig
    hidden_layers: tuple[int, ...] = ()

    def load(self, name: str) -> LoadedModels:
        """Load what shall run.

        Args:
            name: Name of a backend; "auto" is all that are the fastest at something.

        Raises:
            NanoAccelError: As ``loader.load``.
        """
        names, known = self._wanted() if name == "auto" else ([name], None)
        with ExitStack() as stack:
            models = self._load_all(names, stack)
            if len(models) > 1:
                if known is None or len(known) != len(models):
                    models = self._keep_fastest(models)
                else:
                    models = [
                        replace(model, times=times)
                        for model, times in zip(models, known, strict=True)
                    ]
            stack.pop_all()
        times = [model.times for model in models]
        return LoadedModels(models, GraphSelector(times) if len(models) > 1 else None)

    def load_one(self, name: str) -> LoadedModel:
        """Load one graph, whose cache gets all the memory that one may have.

        Args:
            name: Name of a backend, not "auto".

        Raises:
            NanoAccelError: As ``loader.load``.
        """
        backend = self._open(name)
        try:
            return add_cache(name, self._key(name), backend, self._cache_size(share=1))
        except BaseException:
            backend.close()
            raise

    def _wanted(self) -> tuple[Sequence[str], Sequence[PassTimeModel] | None]:
        """The backends to load, with their pass times if these are known."""
        names = self.bundle.runtimes
        keys = [self._key(name) for name in names]
        known = load_decoding(keys, cache_folder()) if len(keys) > 1 else None
        if known is not None:
            kept = worth_keeping(known)
            with suppress(MissingExtraError):
                found = BACKENDS.installed([names[index] for index in kept])
                return found, [known[index] for index in kept]
        return BACKENDS.installed(names), None

    def _load_all(self, names: Sequence[str], stack: ExitStack) -> list[LoadedModel]:
        """Load graphs; of several, those that can do what is asked."""
        models: list[LoadedModel] = []
        refused: ConfigError | None = None
        for name in names:
            try:
                backend = self._open(name)
            except ConfigError as error:
                refused = error
                continue
            stack.callback(backend.close)
            if models and backend.info.block_size != models[0].backend.info.block_size:
                backend.close()
                continue
            size = self._cache_size(share=len(names))
            models.append(add_cache(name, self._key(name), backend, size))
        if not models:
            assert refused is not None, "a bundle has a graph"
            raise refused
        return models

    def _keep_fastest(self, models: Sequence[LoadedModel]) -> list[LoadedModel]:
        """Measure graphs, and close those that are never the fastest."""
        measured = measure_decoding(models, cache_folder())
        kept = worth_keeping([model.times for model in measured])
        for index, model in enumerate(measured):
            if index not in kept:
                model.backend.close()
        return [measured[index] for index in kept]

    def _key(self, name: str) -> str:
        return pass_time_key(self.bundle, name, self.config)

    def _open(self, name: str) -> Backend:
        return open_backend(self.bundle, name, self.config, hidden_layers=self.hidden_layers)

    def _cache_size(self, share: int) -> CacheSize:
        """The size of a cache, one of so many of its engine that share the memory."""
        config, length = self.config, self.bundle.context_length
        share *= config.engines

        def num_blocks(info: BackendInfo) -> int:
            free = free_memory()
            if config.kv_cache_memory is None:
                return config.cache_blocks(info, length, free // share)
            memory = max(1, config.kv_cache_memory // share)
            return replace(config, kv_cache_memory=memory).cache_blocks(info, length, free)

        return CacheSize(num_blocks, config.max_running, length)
