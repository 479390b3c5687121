"""The graphs that tuning measures on, and what it measures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.configure import configure
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.engine.assembly import hidden_layers
from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.execution.pass_timing import forward_seconds, measure_verification
from nanoaccel.runtime.execution.target import TargetLoader
from nanoaccel.runtime.execution.tuned.setting import AUTO, Setting, apply
from nanoaccel.runtime.tools.autotune.pass_seconds import PassSeconds
from nanoaccel.runtime.types.packing import even_plan

# Sequences that a cache has room for: as many as are timed together.
_SEQUENCES = 16
# Tokens of the prompt that is cut into steps.
LONG_PROMPT = 512
# What every backend obeys.
_FOR_ALL = ("threads", "precision", "cache_precision")


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A graph with what is measured on it; both write over the same cache, which holds nothing."""

    model: LoadedModel
    passes: PassSeconds
    blocks: list[int]
    tokens: int


class GraphPool:
    """The graphs that are loaded, each for one setting or several.

    Args:
        bundle: Where they are from.
        backend: The one that an engine without a setting runs.
        clock: Gives the time in seconds.

    Attributes:
        clock: As given.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: str,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._bundle, self._backend, self.clock = bundle, backend, clock
        self._loaded: dict[tuple[str, Setting], _Loaded] = {}
        self._refused: dict[tuple[str, Setting], ConfigError] = {}
        self._wanted: set[Setting] = set()

    def graph(self, setting: Setting) -> _Loaded:
        """The one that an engine with a setting runs, loaded if it is not.

        Raises:
            ConfigError: It cannot do what the setting asks for.
        """
        key = self._key(setting)
        self._wanted.add(setting)
        if key in self._refused:
            raise self._refused[key]
        try:
            if key not in self._loaded:
                self._loaded[key] = self._load(*key)
        except ConfigError as error:
            self._refused[key] = error
            self.release(setting)
            raise
        return self._loaded[key]

    def release(self, setting: Setting) -> None:
        """Close its graph, if no other setting has it."""
        self._wanted.discard(setting)
        needed = {self._key(wanted) for wanted in self._wanted}
        for key in [key for key in self._loaded if key not in needed]:
            self._loaded.pop(key).model.backend.close()

    def time_passes(self, setting: Setting, folder: Path) -> None:
        """Store how long passes take, as a load with this setting would measure it."""
        measure_verification(self.graph(setting).model, folder, again=True)

    def close(self) -> None:
        """Close all."""
        while self._loaded:
            self._loaded.popitem()[1].model.backend.close()

    def _key(self, setting: Setting) -> tuple[str, Setting]:
        """All that a graph depends on: settings that differ in the rest share it."""
        backend = self._backend if setting.runtime == AUTO else setting.runtime
        tunes = {*_FOR_ALL, *BACKENDS.facts(backend).tunes}
        default = Setting()
        ignored = {
            item.name: getattr(default, item.name)
            for item in fields(setting)
            if item.name not in tunes
        }
        return backend, replace(setting, **ignored)

    def _config(self, setting: Setting) -> EngineConfig:
        threads = configure({}).engine.threads  # those that users set are not tuned
        return apply(EngineConfig(threads=threads), setting, os.environ)

    def _load(self, backend: str, setting: Setting) -> _Loaded:
        config = replace(self._config(setting), max_running=_SEQUENCES)
        loader = TargetLoader(
            bundle=self._bundle, config=config, hidden_layers=hidden_layers(self._bundle, config)
        )
        pages = HugePages()
        model = loader.load(backend)
        try:
            passes = PassSeconds(model, self.clock)
            passes.run()
            pages.gather()
            cache = model.shape.new_cache(sharing=False)
            tokens = min(LONG_PROMPT, model.shape.first_tokens, self._bundle.context_length)
            cache.allocate(0, tokens)
            out = np.empty(cache.num_blocks, np.int32)
            blocks = out[: cache.block_ids(0, tokens, out)].tolist()
        except BaseException:
            model.backend.close()
            raise
        return _Loaded(model, passes, blocks, tokens)


class DecodeTimer:
    """Measures what passes cost with a setting."""

    def __init__(self, pool: GraphPool) -> None:
        self._pool = pool

    def measure(self, setting: Setting) -> Sequence[float]:
        return self._pool.graph(setting).passes.measure()

    def release(self, setting: Setting) -> None:
        self._pool.release(setting)


class PromptTimer:
    """Measures what a long prompt costs, cut as a setting says."""

    def __init__(self, pool: GraphPool) -> None:
        self._pool = pool

    def measure(self, setting: Setting) -> Sequence[float]:
        size = EngineConfig(max_step_tokens=setting.max_step_tokens).step_tokens
        return [_prompt_seconds(self._pool.graph(setting), size, self._pool.clock)]

    def token_seconds(self, setting: Setting) -> float:
        """Seconds of a prompt, in passes of the default size; loads what it needs."""
        return self._pool.graph(setting).passes.measure()[-1]

    def release(self, _: Setting) -> None:
        """All have the same graphs."""


def _prompt_seconds(loaded: _Loaded, size: int, clock: Callable[[], float]) -> float:
    """Seconds of the longest prompt that was given blocks, in steps of so many tokens."""
    backend, block_size = loaded.model.backend, loaded.model.shape.block_size
    plans = []
    for past in range(0, loaded.tokens, size):
        count = min(size, loaded.tokens - past)
        blocks = loaded.blocks[: -(-(past + count) // block_size)]
        plans.append(even_plan([blocks], past, count))
    return forward_seconds(backend, plans, clock)
