"""Reads a draft head out of its OpenVINO graph: sizes, norms and stored matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from nanoaccel.bundle.packed_graph import FEATURES, INPUT_IDS
from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.stored import StoredWeight
from nanoaccel.exporters.targets.onnx.weights import GraphWeights, read_weights, stored_floats

_MODEL = "__module.model."
_LAYER = "model.layers.0."


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """A root mean square norm.

    Args:
        weight: f32[H].
        epsilon: Is added to the mean square.
    """

    weight: NDArray[np.float32]
    epsilon: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class HeadParts:
    """A head.

    Args:
        rows: i32[tokens of the target]: the row of the table for each.
        table: Embeddings.
        features_in: Reads the states of the target's layers, side by side.
        token_in: Reads an embedding.
        qkv: Queries, keys, values.
        o: Behind attention.
        gate_up: Into the feed-forward part.
        down: Out of it.
        last: Matrix that gives logits.
        input_norm: In front of attention.
        post_norm: In front of the feed-forward part.
        norm: In front of the logits.
        frequencies: f32[D / 2], of the rotary embedding.
        heads: Heads of queries.
        kv_heads: Heads of keys and values.
    """

    rows: NDArray[np.int32]
    table: StoredWeight
    features_in: StoredWeight
    token_in: StoredWeight
    qkv: tuple[StoredWeight, StoredWeight, StoredWeight]
    o: StoredWeight
    gate_up: tuple[StoredWeight, StoredWeight]
    down: StoredWeight
    last: StoredWeight
    input_norm: Norm
    post_norm: Norm
    norm: Norm
    frequencies: NDArray[np.float32]
    heads: int
    kv_heads: int

    @property
    def hidden(self) -> int:
        """H, numbers of its own state."""
        return self.o.rows

    @property
    def num_layers(self) -> int:
        """Layers of the target that it reads."""
        return self.features_in.columns // self.hidden

    @property
    def head_dim(self) -> int:
        """D, of each head of attention."""
        return 2 * len(self.frequencies)


def read_parts(model: ov.Model) -> HeadParts:
    """Find the parts in the graph that NanoAccel wrote of a trained head.

    Raises:
        ExportError: Something is not there, or is stored in a way that ONNX Runtime cannot
            compute with.
    """
    weights = read_weights(model)
    nodes = model.get_ordered_ops()
    features_in, token_in = _entrances(nodes, weights)
    attention, feed = f"{_LAYER}self_attn.", f"{_LAYER}mlp."
    q, k, v, o = (_product(weights, f"{attention}{name}_proj") for name in "qkvo")
    gate, up, down = (_product(weights, f"{feed}{name}_proj") for name in ("gate", "up", "down"))
    table = weights.embedding("model.embed_tokens")
    if table is None:
        raise _missing("model.embed_tokens")
    frequencies = _frequencies(nodes)
    head_dim = 2 * len(frequencies)
    return HeadParts(
        rows=_rows(nodes),
        table=table,
        features_in=features_in,
        token_in=token_in,
        qkv=(q, k, v),
        o=o,
        gate_up=(gate, up),
        down=down,
        last=_product(weights, "lm_head"),
        input_norm=_norm(nodes, f"{_MODEL}layers.0.input_layernorm/"),
        post_norm=_norm(nodes, f"{_MODEL}layers.0.post_attention_layernorm/"),
        norm=_norm(nodes, f"{_MODEL}norm/"),
        frequencies=frequencies,
        heads=q.rows // head_dim,
        kv_heads=k.rows // head_dim,
    )


def _product(weights: GraphWeights, module: str) -> StoredWeight:
    weight = weights.product(module)
    if weight is None:
        raise _missing(module)
    return weight


def _entrances(
    nodes: Sequence[ov.Node], weights: GraphWeights
) -> tuple[StoredWeight, StoredWeight]:
    """What reads states, and what reads embeddings; in the graph they have no names of theirs."""
    states = embeddings = None
    for node in nodes:
        name = str(node.get_friendly_name())
        if node.get_type_name() != "MatMul" or name not in weights.products:
            continue
        if _source(node) == FEATURES:
            states = weights.products[name]
        else:
            embeddings = weights.products[name]
    if states is None or embeddings is None:
        raise _missing(FEATURES)
    return states, embeddings


def _source(node: ov.Node) -> str:
    """The name of what a node's first input comes from."""
    while node.get_input_size() > 0:
        node = node.input_value(0).get_node()
    return str(node.get_friendly_name())


def _rows(nodes: Sequence[ov.Node]) -> NDArray[np.int32]:
    for node in nodes:
        if node.get_type_name() == "Gather":
            ids, table = node.input_value(1).get_node(), node.input_value(0).get_node()
            if ids.get_friendly_name() == INPUT_IDS and table.get_type_name() == "Constant":
                rows: NDArray[np.int32] = table.data.astype(np.int32)
                return rows
    raise _missing("the rows of its tokens")


def _norm(nodes: Sequence[ov.Node], prefix: str) -> Norm:
    """The constants of a norm: its weight is multiplied, its epsilon added."""
    found = {}
    for node in nodes:
        kind = node.get_type_name()
        if kind in ("Multiply", "Add") and str(node.get_friendly_name()).startswith(prefix):
            for value in (node.input_value(0), node.input_value(1)):
                if _is_constant(value):
                    found[kind] = stored_floats(value).astype(np.float32).ravel()
    if len(found) < 2:
        raise _missing(prefix)
    return Norm(found["Multiply"], float(found["Add"][0]))


def _frequencies(nodes: Sequence[ov.Node]) -> NDArray[np.float32]:
    for node in nodes:
        name = str(node.get_friendly_name())
        kind = node.get_type_name()
        if kind in ("MatMul", "Multiply") and name.startswith(f"{_MODEL}rotary_emb/"):
            for value in (node.input_value(0), node.input_value(1)):
                if _is_constant(value):
                    return stored_floats(value).astype(np.float32).ravel()
    raise _missing("the frequencies of its rotary embedding")


def _is_constant(value: ov.Output) -> bool:
    node = value.get_node()
    if node.get_type_name() == "Convert":
        return _is_constant(node.input_value(0))
    return bool(node.get_type_name() == "Constant")


def _missing(what: str) -> ExportError:
    return ExportError(
        f"the graph of the head lacks {what}, so it cannot be made for ONNX Runtime",
        "Train it again: nanoaccel draft train",
    )
