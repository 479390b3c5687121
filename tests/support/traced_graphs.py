"""Tiny models as graphs, and what becomes of them when they are compressed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov

from nanoaccel.exporters.progress import Tell, silence
from nanoaccel.exporters.quantize.compression import Calibration, compress, find_layers, storage_of
from nanoaccel.exporters.quantize.compression.mapped import MappedTensors
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.targets.openvino.trace import trace
from nanoaccel.openvino_core import openvino_core
from nanoaccel.testing import tiny_models

_COUNTED = re.compile(rb'(?<=[a-z])_\d+(?=")')


def trace_llama(folder: Path, layers: int, *, tied: bool = False) -> Path:
    """The graph of a Llama whose matrices groups of 64 divide."""
    model = tiny_models.make_model(
        "llama",
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=layers,
        tie_word_embeddings=tied,
    )
    with quiet():
        return trace(model, folder)


def calibration_in(folder: Path, count: int = 3) -> Calibration:
    """Random windows."""
    numbers = np.random.default_rng(0)
    windows = [numbers.integers(3, tiny_models.VOCAB_SIZE, 16) for _ in range(count)]
    return Calibration(windows, folder)


def compressed(
    graph: Path,
    recipe: Recipe,
    calibration: Calibration | None = None,
    tell: Tell = silence,
    tensors: MappedTensors | None = None,
) -> ov.Model:
    """The graph with its weights as a recipe says."""
    model = openvino_core().read_model(graph)
    layers = find_layers(model)
    with quiet():
        storage = storage_of(layers, recipe)
        return compress(model, recipe, layers, storage, calibration, tell, tensors)


_DECOMPRESSING = ("Convert", "Gather", "Multiply", "Reshape", "Subtract")


def stored_types(model: ov.Model) -> Mapping[str, str]:
    """What each product and look-up of a matrix reads, by the module that it is in."""
    found = {}
    for node in model.get_ordered_ops():
        port = {"MatMul": 1, "Gather": 0}.get(node.get_type_name())
        name = node.get_friendly_name()
        if port is None or not name.startswith("__module."):
            continue
        stored = node.input_value(port).get_node()
        while stored.get_type_name() in _DECOMPRESSING:
            indices = stored.get_type_name() == "Gather"  # into a codebook
            stored = stored.input_value(int(indices)).get_node()
        if stored.get_type_name() == "Constant" and len(stored.get_output_shape(0)) > 1:
            kind = stored.get_output_element_type(0).get_type_name()
            found[name.removeprefix("__module.").partition("/")[0]] = kind
    return found


def saved_bytes(model: ov.Model, folder: Path) -> tuple[bytes, bytes]:
    """The two files of a graph, without the numbers that OpenVINO gives to names as it counts."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{len(os.listdir(folder))}.xml"
    ov.save_model(model, path, compress_to_fp16=False)
    return _COUNTED.sub(b"", path.read_bytes()), path.with_suffix(".bin").read_bytes()
