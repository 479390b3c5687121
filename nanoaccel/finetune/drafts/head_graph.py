"""From a trained head to the graph that the runtime runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import openvino as ov
import torch
from openvino import opset13 as ops

from nanoaccel.bundle.packed_graph import FEATURES, INPUT_IDS
from nanoaccel.exporters.quantize.compression import compress, find_layers, storage_of
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.targets.openvino.build import save_graph
from nanoaccel.exporters.targets.openvino.trace import trace
from nanoaccel.finetune.drafts.head import DraftHead
from nanoaccel.openvino_core import openvino_core
from nanoaccel.runtime.backends.openvino.hidden_states import add_hidden

_EPSILON = 1e-6


def write_graph(
    head: DraftHead, vocabulary: Sequence[int], vocab_size: int, path: Path, recipe: Recipe
) -> None:
    """Write a head as a graph.

    It takes the target's token ids, and besides them features f32[T, L * H + H]: the states of the
    target's layers, or zeros, and the head's own state, or zeros. It gives logits over
    ``vocabulary`` and one more, for all other tokens, and its own states, hidden f32[T, H].

    Args:
        head: Trained.
        vocabulary: Tokens that it can propose.
        vocab_size: Tokens of the target.
        path: Path of the xml file.
        recipe: How weights are stored.
    """
    with TemporaryDirectory() as folder:
        graph = trace(_as_llama(head), Path(folder))
        model = openvino_core().read_model(graph)
        _feed_states(model, head, vocabulary, vocab_size)
        add_hidden(model, [0])
        layers = find_layers(model)
        save_graph(compress(model, recipe, layers, storage_of(layers, recipe)), path)


def _as_llama(head: DraftHead):  # type: ignore[no-untyped-def]
    """The head's layer, table and norm as a Llama of one layer, which is known how to trace."""
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM(head.shape.llama_config())
    layer = model.model.layers[0]
    weights = {
        model.model.embed_tokens: head.table,
        model.model.norm: head.norm,
        layer.input_layernorm: head.input_norm,
        layer.post_attention_layernorm: head.post_norm,
        layer.self_attn.q_proj: head.q,
        layer.self_attn.k_proj: head.k,
        layer.self_attn.v_proj: head.v,
        layer.self_attn.o_proj: head.o,
        layer.mlp.gate_proj: head.gate,
        layer.mlp.up_proj: head.up,
        layer.mlp.down_proj: head.down,
    }
    with torch.no_grad():
        for theirs, ours in weights.items():
            theirs.weight.copy_(ours.weight)
    return model.eval()


def _feed_states(
    model: ov.Model, head: DraftHead, vocabulary: Sequence[int], vocab_size: int
) -> None:
    """Let the layer read states beside tokens, and the table the target's own token ids."""
    embedding = _embedding(model)
    readers = list(embedding.output(0).get_target_inputs())
    rows = np.full(vocab_size, len(vocabulary), np.int32)
    rows[list(vocabulary)] = np.arange(len(vocabulary), dtype=np.int32)
    ids = model.input(INPUT_IDS)
    known = ops.gather(ops.constant(rows), ids, ops.constant(np.int64(0)))
    embedding.input(1).replace_source_output(known.output(0))
    shape = head.shape
    width = shape.num_layers * shape.hidden
    features = ops.parameter([-1, width + shape.hidden], np.float32, name=FEATURES)
    features.output(0).set_names({FEATURES})
    parts = ops.variadic_split(
        ops.unsqueeze(features, ops.constant(np.int64(1))),
        ops.constant(np.int64(-1)),
        ops.constant(np.array([width, shape.hidden], np.int64)),
    )
    entering = ops.add(
        ops.add(
            _linear(_scaled(parts.output(0), shape.num_layers, shape.hidden), head.features_in),
            parts.output(1),
        ),
        _linear(embedding.output(0), head.token_in),
    )
    for reader in readers:
        reader.replace_source_output(entering.output(0))
    model.add_parameters([features])
    model.validate_nodes_and_infer_types()


def _embedding(model: ov.Model) -> ov.Node:
    """The embedding's node."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Gather" and "embed_tokens" in node.get_friendly_name():
            return node
    raise AssertionError("a Llama has an embedding")


def _scaled(states: ov.Output, num_layers: int, hidden: int) -> ov.Output:
    """Each layer's states with a mean square of 1, as in training; zeros stay zeros."""
    layers = ops.reshape(
        states, ops.constant(np.array([0, 0, num_layers, hidden], np.int64)), special_zero=True
    )
    mean = ops.reduce_mean(ops.multiply(layers, layers), ops.constant(np.int64(-1)), True)
    root = ops.sqrt(ops.add(mean, ops.constant(np.float32(_EPSILON))))
    flat = ops.constant(np.array([0, 0, num_layers * hidden], np.int64))
    return ops.reshape(ops.divide(layers, root), flat, special_zero=True).output(0)


def _linear(x: ov.Output, layer: torch.nn.Linear) -> ov.Node:
    weight = ops.constant(layer.weight.detach().numpy())
    return ops.matmul(x, weight, False, True)
