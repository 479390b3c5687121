"""Finds out which runtimes a model is fast on, here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from nanoaccel.bundle import Bundle
from nanoaccel.folders import cache_folder
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.execution.loader import CacheSize, LoadedModel, load
from nanoaccel.runtime.execution.pass_timing import measure_decoding
from nanoaccel.runtime.execution.selector import worth_keeping

# Requests at once, and tokens of each, for which there is room while it is measured.
_SEQUENCES = 16
_LENGTH = 256


def fastest_runtimes(graphs: Mapping[str, Path], context: int) -> tuple[str, ...]:
    """The runtimes that are the fastest at something, best for a single request first.

    Args:
        graphs: The file of the same model's graph for each runtime.
        context: Tokens that the model can attend to.

    Raises:
        NanoAccelError: A graph cannot be run, or its runtime is not installed.
    """
    config = EngineConfig(speculation="off")
    length = min(_LENGTH, context)
    size = CacheSize(lambda info: _SEQUENCES * _LENGTH // info.block_size, _SEQUENCES, length)
    with ExitStack() as stack:
        models: list[LoadedModel] = []
        for name, graph in graphs.items():
            folder = graph.parent
            source = Bundle(folder, name, graph, folder, length, None, None)
            model = load(source, name, config, size)
            stack.callback(model.backend.close)
            models.append(model)
        measured = measure_decoding(models, cache_folder())
    kept = worth_keeping([model.times for model in measured])
    return tuple(measured[index].name for index in kept)
