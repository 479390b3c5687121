"""What a graph takes and gives, by the names of its inputs and outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.bundle.long_factors import METADATA, LongFactors
from nanoaccel.errors import BundleError
from nanoaccel.runtime.backends.onnxruntime.operators import attention
from nanoaccel.runtime.backends.onnxruntime.operators.adapters import ADAPTER_INPUTS
from nanoaccel.runtime.backends.slots import CachePorts

_BUILDERS_CONFIG = "genai_config.json"
_CACHE_TYPE = "tensor(float)"
_PACKED = {name for name, spec in contract.INPUTS.items() if spec.required}
_PLAIN = {"input_ids", "attention_mask"}
_MORE_PLAIN = {"position_ids"}


@dataclass(frozen=True, slots=True)
class Signature:
    """A graph that can be run.

    Args:
        packed: Whether it takes ragged batches without padding, as NanoAccel exports it; else it
            is as the builder of onnxruntime-genai made it.
        inputs: Names of the inputs besides the cache.
        caches: Keys and values in slots, layer after layer; none where the cache is in blocks.
        vocab_size: Width of the logits.
        hidden: Layers that tell what they compute.
        hidden_size: Numbers of that; 0 where none does.
        state_size: Numbers that the last projection reads for a token; 0 where they are not told.
        long_factors: How it is told which texts are long; None where it says nothing of that.
        recurrent_size: Numbers of a recurrent state, all layers; 0 where the graph has none.
    """

    packed: bool
    inputs: frozenset[str]
    caches: tuple[CachePorts, ...]
    vocab_size: int
    hidden: frozenset[int]
    hidden_size: int
    state_size: int
    long_factors: LongFactors | None
    recurrent_size: int

    def told_layers(self, asked: tuple[int, ...]) -> tuple[int, ...]:
        """The layers that are told when some are asked for.

        A head tells its own state always: it reads that again.
        """
        return tuple(sorted(self.hidden)) if contract.FEATURES in self.inputs else asked


def read_signature(session: ort.InferenceSession, graph: Path) -> Signature:
    """Understand a graph.

    Raises:
        BundleError: An input or output that is needed is missing, or one is unknown.
    """
    inputs = {item.name: item for item in session.get_inputs()}
    outputs = {item.name: item for item in session.get_outputs()}
    blocks = attention.CACHE in inputs
    names = {name for name in inputs if contract.cache_of(name) is None} - {attention.CACHE}
    packed = contract.QUERY_MAP in names or contract.LOGITS_ROWS in names
    needed, known = (_PACKED, {*contract.INPUTS}) if packed else (_PLAIN, _PLAIN | _MORE_PLAIN)
    if blocks:
        needed = {contract.INPUT_IDS, contract.LOGITS_ROWS, *attention.BLOCK_INPUTS}
        known = needed | {contract.FEATURES, *contract.STATE_INPUTS, *ADAPTER_INPUTS}
    missing = sorted(needed - names) + sorted({contract.LOGITS} - outputs.keys())
    if missing:
        raise _unfit(graph, f"it has no input or output {', '.join(missing)}")
    unknown = sorted(names - known)
    if unknown:
        raise _unfit(graph, f"nothing is known of its inputs {', '.join(unknown)}")
    layers = {name: contract.hidden_layer(name) for name in outputs}
    factors = session.get_modelmeta().custom_metadata_map.get(METADATA)
    hidden = {layer: name for name, layer in layers.items() if layer is not None}
    return Signature(
        packed=packed,
        inputs=frozenset(names),
        caches=() if blocks else _caches(inputs, outputs, graph),
        vocab_size=_width(outputs[contract.LOGITS].shape, contract.LOGITS, graph),
        hidden=frozenset(hidden),
        hidden_size=max(
            (_width(outputs[name].shape, name, graph) for name in hidden.values()), default=0
        ),
        state_size=_width(outputs[contract.STATES].shape, contract.STATES, graph)
        if packed and contract.STATES in outputs
        else 0,
        long_factors=None if factors is None else LongFactors.parse(factors),
        recurrent_size=_width(inputs[contract.RECURRENT_STATES].shape, "states", graph)
        if contract.RECURRENT_STATES in inputs
        else 0,
    )


def _caches(
    inputs: Mapping[str, ort.NodeArg], outputs: Mapping[str, ort.NodeArg], graph: Path
) -> tuple[CachePorts, ...]:
    order = sorted((*cache, name) for name in inputs if (cache := contract.cache_of(name)))
    if not order:
        raise _unfit(graph, "it has no inputs past_key_values.0.key, ...: it is no decoder")
    heads, width = _builders_sizes(graph)
    found = []
    for layer, kind, name in order:
        item, present = inputs[name], contract.present_name(layer, kind)
        if present not in outputs:
            raise _unfit(graph, f"it has no output {present}")
        if item.type != _CACHE_TYPE:
            raise _unfit(graph, f"its input {name} is {item.type}, not f32")
        sizes = (_fixed(item.shape, 1, heads), _fixed(item.shape, 3, width))
        if None in sizes:
            raise _unfit(graph, f"its input {name} has no fixed numbers of heads and width")
        found.append(CachePorts(*sizes, np.dtype(np.float32), name, present))  # type: ignore[arg-type]
    return tuple(found)


def _fixed(shape: Sequence[Any], place: int, otherwise: int | None) -> int | None:
    value = shape[place] if len(shape) == 4 else None
    return value if isinstance(value, int) else otherwise


def _builders_sizes(graph: Path) -> tuple[int | None, int | None]:
    """Heads of keys and width of one, as the builder's own config has them."""
    try:
        text = (graph.parent / _BUILDERS_CONFIG).read_text(encoding="utf-8")
        decoder = json.loads(text)["model"]["decoder"]
        return int(decoder["num_key_value_heads"]), int(decoder["head_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _width(shape: Sequence[Any], name: str, graph: Path) -> int:
    if not shape or not isinstance(shape[-1], int):
        raise _unfit(graph, f"its output {name} has no fixed width")
    return int(shape[-1])


def _unfit(graph: Path, reason: str) -> BundleError:
    return BundleError(
        f"{graph} cannot be run: {reason}", "Export it: nanoaccel export MODEL OUT --runtime onnx"
    )
