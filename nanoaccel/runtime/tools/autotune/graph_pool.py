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
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.engine.assembly import hidden_layers
from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.execution.pass_time import PassTimeModel
from nanoaccel.runtime.execution.pass_timing import (
    DecodeBench,
    forward_seconds,
    measure_decoding,
    measure_verification,
)
from nanoaccel.runtime.execution.selector import request_seconds
from nanoaccel.runtime.execution.target import TargetLoader
from nanoaccel.runtime.execution.tuned.setting import AUTO, Setting, apply
from nanoaccel.runtime.kv import make_cache
from nanoaccel.runtime.types.packing import even_plan

# The passes that shall become faster. That over eight tokens also verifies draft tokens.
KINDS = ("1 token", "8 tokens", "prompts")
_TOGETHER = 8
_PROMPT = 128
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
    passes: DecodeBench
    blocks: list[int]
    tokens: int


class GraphPool:
    """The graphs that are loaded, each for one setting or several.

    Args:
        bundle: Where they are from.
        backends: Backends that are installed.
        clock: Gives the time in seconds.

    Attributes:
        clock: As given.
    """

    def __init__(
        self,
        bundle: Bundle,
        backends: Sequence[str],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._bundle, self._backends, self.clock = bundle, backends, clock
        self._loaded: dict[tuple[str, Setting], _Loaded] = {}
        self._refused: dict[tuple[str, Setting], ConfigError] = {}
        self._wanted: set[Setting] = set()

    def graphs(self, setting: Setting) -> list[_Loaded]:
        """Those that an engine with a setting has, loaded if they are not.

        Raises:
            ConfigError: None of them can be had.
        """
        own = replace(setting, max_step_tokens=None)
        self._wanted.add(own)
        found: list[_Loaded] = []
        problem: ConfigError | None = None
        for backend in self._backends_of(own):
            key = _key(backend, own)
            try:
                if key not in self._loaded and key not in self._refused:
                    self._loaded[key] = self._load(backend, own)
            except ConfigError as error:
                self._refused[key] = error
            if key in self._loaded:
                found.append(self._loaded[key])
            problem = self._refused.get(key, problem)
        if not found:
            self.release(setting)
            assert problem is not None, "a setting has a runtime"
            raise problem
        return found

    def release(self, setting: Setting) -> None:
        """Close those that no other setting has."""
        self._wanted.discard(replace(setting, max_step_tokens=None))
        needed = {
            _key(backend, wanted)
            for wanted in self._wanted
            for backend in self._backends_of(wanted)
        }
        for key in [key for key in self._loaded if key not in needed]:
            self._loaded.pop(key).model.backend.close()

    def time_passes(self, setting: Setting, folder: Path) -> None:
        """Store how long passes take, as a load with this setting would measure it."""
        models = [loaded.model for loaded in self.graphs(setting)]
        for model in models:
            measure_verification(model, folder, again=True)
        if len(models) > 1:
            measure_decoding(models, folder)

    def close(self) -> None:
        """Close all."""
        while self._loaded:
            self._loaded.popitem()[1].model.backend.close()

    def _backends_of(self, setting: Setting) -> Sequence[str]:
        return self._backends if setting.runtime == AUTO else [setting.runtime]

    def _config(self, setting: Setting) -> EngineConfig:
        return apply(EngineConfig(), setting, os.environ)

    def _load(self, backend: str, setting: Setting) -> _Loaded:
        config = replace(self._config(setting), max_running=_SEQUENCES)
        loader = TargetLoader(
            bundle=self._bundle, config=config, hidden_layers=hidden_layers(self._bundle, config)
        )
        pages = HugePages()
        model = loader.load_one(backend)
        try:
            passes = DecodeBench(model, counts=(1, _TOGETHER), clock=self.clock)
            passes.run()  # packs the weights
            pages.gather()
            cache = make_cache(model.shape, model.backend, sharing=False)
            tokens = min(LONG_PROMPT, model.shape.first_tokens, self._bundle.context_length)
            cache.allocate(0, tokens)
            out = np.empty(cache.num_blocks, np.int32)
            blocks = out[: cache.block_ids(0, tokens, out)].tolist()
        except BaseException:
            model.backend.close()
            raise
        return _Loaded(model, passes, blocks, tokens)


def _key(backend: str, setting: Setting) -> tuple[str, Setting]:
    """All that a graph depends on: settings that differ in the rest share it."""
    tunes = {*_FOR_ALL, *BACKENDS.facts(backend).tunes}
    default = Setting()
    ignored = {
        item.name: getattr(default, item.name) for item in fields(setting) if item.name not in tunes
    }
    return backend, replace(setting, **ignored)


class DecodeTimer:
    """Measures what passes cost with a setting, each in the graph that is best for it."""

    def __init__(self, pool: GraphPool) -> None:
        self._pool = pool

    def measure(self, setting: Setting) -> Sequence[float]:
        return pass_seconds([loaded.passes.sample() for loaded in self._pool.graphs(setting)])

    def release(self, setting: Setting) -> None:
        self._pool.release(setting)


class PromptTimer:
    """Measures what a long prompt costs, cut as a setting says."""

    def __init__(self, pool: GraphPool) -> None:
        self._pool = pool

    def measure(self, setting: Setting) -> Sequence[float]:
        size = EngineConfig(max_step_tokens=setting.max_step_tokens).step_tokens
        graphs = self._pool.graphs(setting)
        return [min(_prompt_seconds(loaded, size, self._pool.clock) for loaded in graphs)]

    def token_seconds(self, setting: Setting) -> float:
        """Seconds of a prompt, in passes of the default size; loads what it needs."""
        return min(loaded.passes.sample().prompt_token for loaded in self._pool.graphs(setting))

    def release(self, _: Setting) -> None:
        """All have the same graphs."""


def pass_seconds(times: Sequence[PassTimeModel]) -> list[float]:
    """Seconds of each of ``KINDS``, in the graph where an engine would run such requests.

    Args:
        times: Pass times of the graphs that it may choose from.
    """
    alone, together = (
        min(times, key=lambda one: request_seconds(one, count, count * _PROMPT))
        for count in (1, _TOGETHER)
    )
    return [alone.decode_seconds(1), together.decode_seconds(_TOGETHER), alone.prompt_token]


def _prompt_seconds(loaded: _Loaded, size: int, clock: Callable[[], float]) -> float:
    """Seconds of the longest prompt that was given blocks, in steps of so many tokens."""
    backend, block_size = loaded.model.backend, loaded.model.shape.block_size
    plans = []
    for past in range(0, loaded.tokens, size):
        count = min(size, loaded.tokens - past)
        blocks = loaded.blocks[: -(-(past + count) // block_size)]
        plans.append(even_plan([blocks], past, count))
    return forward_seconds(backend, plans, clock)
