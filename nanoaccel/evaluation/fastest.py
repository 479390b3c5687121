"""Finds out which runtimes a model is fast on, here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from nanoaccel.folders import cache_folder
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import Backend, BackendOptions
from nanoaccel.runtime.execution.pass_timing import measure_prices
from nanoaccel.runtime.execution.selector import worth_keeping
from nanoaccel.runtime.kv import CacheShape

# Requests at once, and tokens of each, for which there is room while it is measured.
_SEQUENCES = 16
_LENGTH = 256


def fastest_runtimes(graphs: Mapping[str, Path]) -> tuple[str, ...]:
    """The runtimes that are the fastest at something, best for a single request first.

    Args:
        graphs: The file of the same model's graph for each runtime.

    Raises:
        NanoAccelError: A graph cannot be run, or its runtime is not installed.
    """
    with ExitStack() as stack:
        benches: dict[str, tuple[Backend, CacheShape]] = {}
        for runtime, graph in graphs.items():
            backend: Backend = BACKENDS.resolve(runtime)(BackendOptions(graph=graph))
            stack.callback(backend.close)
            size = backend.info.block_size
            shape = CacheShape.of(
                num_blocks=_SEQUENCES * _LENGTH // size,
                block_size=size,
                slots=backend.info.slots,
                sequences=_SEQUENCES,
                length=_LENGTH,
            )
            shape.allocate(backend)
            benches[f"{runtime} {graph.resolve()} {graph.stat().st_mtime_ns}"] = backend, shape
        prices = measure_prices(benches, cache_folder())
    return tuple(list(graphs)[place] for place in worth_keeping(prices))
