"""The graphs that tuning measures on, and what it measures."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.engine.assembly import hidden_layers, step_cost_key
from nanoaccel.runtime.execution.loader import Graph, GraphLoader
from nanoaccel.runtime.execution.pass_timing import PassBench, measure_prices
from nanoaccel.runtime.execution.selector import Prices
from nanoaccel.runtime.execution.step_time import StepCost
from nanoaccel.runtime.execution.step_timing import calibrate
from nanoaccel.runtime.execution.tuned.axes import CHANGEABLE
from nanoaccel.runtime.execution.tuned.setting import AUTO, Setting, apply
from nanoaccel.runtime.kv import make_cache
from nanoaccel.runtime.types.plan import StepPlan

# The passes that shall become faster. That over eight tokens is also what checks guesses.
KINDS = ("1 token", "8 tokens", "prompts")
_TOGETHER = 8
_PROMPT = 128
# Sequences that a cache has room for: as many as prices are measured for.
_SEQUENCES = 16
# Tokens of the prompt that is cut into steps.
LONG_PROMPT = 512


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A graph with what is measured on it; both write over the same cache, which holds nothing."""

    graph: Graph
    passes: PassBench
    blocks: list[int]
    tokens: int


class Rig:
    """The graphs that are loaded, each for one setting or several.

    Args:
        bundle: Where they are from.
        runtimes: That are installed.
    """

    def __init__(self, bundle: Bundle, runtimes: Sequence[str]) -> None:
        self._bundle, self._runtimes = bundle, runtimes
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
        for runtime in self._runtimes_of(own):
            key = _key(runtime, own)
            try:
                if key not in self._loaded and key not in self._refused:
                    self._loaded[key] = self._load(runtime, own)
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
            _key(runtime, wanted)
            for wanted in self._wanted
            for runtime in self._runtimes_of(wanted)
        }
        for key in [key for key in self._loaded if key not in needed]:
            self._loaded.pop(key).graph.backend.close()

    def calibrate(self, setting: Setting, folder: Path) -> None:
        """Remember what passes cost, as a load with this setting would measure it."""
        config = self._config(setting)
        loader = GraphLoader(bundle=self._bundle, config=config)
        graphs = [loaded.graph for loaded in self.graphs(setting)]
        for graph in graphs:
            calibrate(
                graph.backend,
                StepCost(),
                room=graph.shape.first_tokens,
                key=step_cost_key(self._bundle, graph.runtime, config),
                folder=folder,
                again=True,
            )
        if len(graphs) > 1:
            by_key = {loader.key(item.runtime): (item.backend, item.shape) for item in graphs}
            measure_prices(by_key, folder)

    def close(self) -> None:
        """Close all."""
        while self._loaded:
            self._loaded.popitem()[1].graph.backend.close()

    def _runtimes_of(self, setting: Setting) -> Sequence[str]:
        return self._runtimes if setting.runtime == AUTO else [setting.runtime]

    def _config(self, setting: Setting) -> EngineConfig:
        return apply(EngineConfig(), setting, os.environ)

    def _load(self, runtime: str, setting: Setting) -> _Loaded:
        config = replace(self._config(setting), max_running=_SEQUENCES)
        loader = GraphLoader(
            bundle=self._bundle, config=config, hidden_layers=hidden_layers(self._bundle, config)
        )
        pages = HugePages()
        graph = loader.graph(runtime)
        try:
            passes = PassBench(graph.backend, graph.shape, counts=(1, _TOGETHER))
            passes.run()  # packs the weights
            pages.gather()
            cache = make_cache(graph.shape, graph.backend, sharing=False)
            tokens = min(LONG_PROMPT, graph.shape.first_tokens, self._bundle.context_length)
            cache.allocate(0, tokens)
            out = np.empty(cache.num_blocks, np.int32)
            blocks = out[: cache.block_ids(0, tokens, out)].tolist()
        except BaseException:
            graph.backend.close()
            raise
        return _Loaded(graph, passes, blocks, tokens)


def _key(runtime: str, setting: Setting) -> tuple[str, Setting]:
    """All that a graph depends on: settings that differ in the rest share it."""
    own = replace(setting, runtime=AUTO)
    if runtime != CHANGEABLE:
        own = replace(own, quantization_group=None, fuse_projections=None)
    return runtime, own


class PassesOf:
    """Measures what passes cost with a setting, each in the graph that is best for it."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def measure(self, setting: Setting) -> Sequence[float]:
        prices = [loaded.passes.sample() for loaded in self._rig.graphs(setting)]
        return pass_seconds(prices)

    def release(self, setting: Setting) -> None:
        self._rig.release(setting)


class PromptOf:
    """Measures what a long prompt costs, cut as a setting says."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def measure(self, setting: Setting) -> Sequence[float]:
        size = EngineConfig(max_step_tokens=setting.max_step_tokens).step_tokens
        return [min(_prompt_seconds(loaded, size) for loaded in self._rig.graphs(setting))]

    def token_seconds(self, setting: Setting) -> float:
        """Of a prompt, in passes of the default size; loads what it needs."""
        return min(loaded.passes.sample().chunk for loaded in self._rig.graphs(setting))

    def release(self, _: Setting) -> None:
        """All have the same graphs."""


def pass_seconds(prices: Sequence[Prices]) -> list[float]:
    """Seconds of each of ``KINDS``, in the graph where an engine would run such requests.

    Args:
        prices: Of the graphs that it may choose from.
    """
    alone, together = (
        min(prices, key=lambda price: price.request(count, count * _PROMPT))
        for count in (1, _TOGETHER)
    )
    return [alone.decode(1), together.decode(_TOGETHER), alone.chunk]


def _prompt_seconds(loaded: _Loaded, size: int) -> float:
    """Seconds of the longest prompt that was given blocks, in steps of so many tokens."""
    backend, blocks = loaded.graph.backend, loaded.blocks
    block_size = backend.info.block_size
    total = 0.0
    for past in range(0, loaded.tokens, size):
        count = min(size, loaded.tokens - past)
        plan = StepPlan.even([blocks[: -(-(past + count) // block_size)]], past, count)
        begun = time.perf_counter()
        backend.forward(plan)
        total += time.perf_counter() - begun
    return total
