"""Loads the graph that an engine runs: the one that was named, or the best for this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError, MissingExtraError
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import AdapterHolder, Backend, BackendInfo
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.memory import free_memory
from nanoaccel.runtime.execution.loader import (
    CacheSize,
    LoadedModel,
    add_cache,
    by_preference,
    open_backend,
    pass_time_key,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetLoader:
    """Loads a graph of a bundle.

    Args:
        bundle: An opened one.
        config: What the user set.
        hidden_layers: Layers that drafters read.
    """

    bundle: Bundle
    config: EngineConfig
    hidden_layers: tuple[int, ...] = ()

    def load(self, name: str) -> LoadedModel:
        """Load what shall run.

        Args:
            name: Name of a backend; "auto" is the first of ``by_preference`` that is installed and
                can do what is asked. One on stock operators, or that computes no adapters where
                there are some, comes last.

        Raises:
            NanoAccelError: As ``loader.load``.
        """
        name, backend = self._first() if name == "auto" else (name, self._open(name))
        try:
            key = pass_time_key(
                self.bundle, name, self.config, backend.info, adapters=self._adapters
            )
            return add_cache(name, key, backend, self._cache_size())
        except BaseException:
            backend.close()
            raise

    def _first(self) -> tuple[str, Backend]:
        names = by_preference(self.bundle.runtimes)
        refused: list[ConfigError | MissingExtraError] = []
        lesser: list[str] = []
        for name in names:
            try:
                backend = self._open(name)
            except (ConfigError, MissingExtraError) as error:
                refused.append(error)
                continue
            own = backend.info.own_operators or not BACKENDS.facts(name).own_operators
            able = own and (not self._adapters or adaptable_by(backend) is not None)
            if able or (name == names[-1] and not lesser):
                return name, backend
            backend.close()
            lesser.append(name)
        if lesser:
            return lesser[0], self._open(lesser[0])
        raise _most_telling(refused)

    def _open(self, name: str) -> Backend:
        return open_backend(
            self.bundle,
            name,
            self.config,
            hidden_layers=self.hidden_layers,
            adapters=self._adapters,
        )

    @property
    def _adapters(self) -> bool:
        """Whether requests may ask for adapters."""
        return self.config.adapters is not None or bool(self.bundle.adapters())

    def _cache_size(self) -> CacheSize:
        """The size of the cache of one of so many engines that share the memory."""
        config, length = self.config, self.bundle.context_length

        def num_blocks(info: BackendInfo) -> int:
            free = free_memory()
            if config.kv_cache_memory is None:
                return config.cache_blocks(info, length, free // config.engines)
            memory = max(1, config.kv_cache_memory // config.engines)
            return replace(config, kv_cache_memory=memory).cache_blocks(info, length, free)

        return CacheSize(num_blocks, length)


def adaptable_by(backend: Backend) -> Mapping[str, tuple[int, int]] | None:
    """What adapters may change, as of ``AdapterHolder``; None where there can be none."""
    if not isinstance(backend, AdapterHolder):
        return None
    return backend.adaptable or None


def _most_telling(
    refused: list[ConfigError | MissingExtraError],
) -> ConfigError | MissingExtraError:
    """The error to raise where no backend could be opened: what can be changed in the options."""
    return next((error for error in refused if isinstance(error, ConfigError)), refused[0])
