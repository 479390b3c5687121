"""What a text takes of a cache, read from a graph's file: nothing is loaded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.runtime.backends.onnxruntime.graph.model import read_model
from nanoaccel.runtime.backends.onnxruntime.graph.values import shape_of
from nanoaccel.runtime.backends.onnxruntime.graph.wire import WireError

_STATE_BYTES = 4  # states are kept in f32
_VARIABLE = re.compile(r'variable_id="([^"]+)"[^>]*variable_shape="([^"]+)"')
_KEYS = "past_key_values."


@dataclass(frozen=True, slots=True)
class CacheNeeds:
    """What a text takes of a cache.

    Args:
        numbers_per_token: Numbers of keys and values of all layers; how many bytes each has is
            chosen when a model is loaded.
        state_bytes: Bytes of the recurrent states of a text of any length; 0 without.
    """

    numbers_per_token: int
    state_bytes: int


def cache_needs(graph: Path) -> CacheNeeds | None:
    """Read what a text takes of a cache; None where the file does not say it.

    Args:
        graph: A graph of OpenVINO or of ONNX Runtime.
    """
    try:
        kept = [*(_of_openvino(graph) if graph.suffix == ".xml" else _of_onnx(graph))]
    except (OSError, WireError, UnicodeDecodeError):
        return None
    tokens = states = 0
    for grows, sizes in kept:
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes):
            return None
        tokens += math.prod(known) if grows else 0
        states += 0 if grows else math.prod(known)
    return CacheNeeds(tokens, states * _STATE_BYTES) if kept else None


def _of_openvino(graph: Path) -> Iterator[tuple[bool, tuple[int | None, ...]]]:
    """Whether a variable grows with tokens, and its other sizes."""
    found = dict(_VARIABLE.findall(graph.read_text(encoding="utf-8")))
    for name, text in found.items():
        sizes = [int(size) if size.isdigit() else None for size in text.split(",")[1:]]
        if name.startswith(_KEYS):
            sizes = [size for place, size in enumerate(sizes) if place != 1]
        yield name.startswith(_KEYS), tuple(sizes)


def _of_onnx(graph: Path) -> Iterator[tuple[bool, tuple[int | None, ...]]]:
    for name, message in read_model(graph.read_bytes()).inputs.items():
        shape = shape_of(message)
        if contract.cache_of(name) is not None and len(shape) == len(("B", "heads", "C", "width")):
            yield True, (shape[1], shape[3])
        elif name == contract.RECURRENT_STATES:
            yield False, (shape[-1],)
