"""Initializes a head: sizes from its target, weights from there or from another head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nanoaccel.bundle import Head
from nanoaccel.errors import ConfigError
from nanoaccel.exporters.targets.onnx.head_parts import HeadParts, read_parts
from nanoaccel.exporters.targets.table import BASE
from nanoaccel.finetune.drafts.head import DraftHead, HeadShape
from nanoaccel.openvino_core import openvino_core

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_QUIETER = 0.15
_LAYER = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
    "input_norm": "input_layernorm",
    "post_norm": "post_attention_layernorm",
}


def layers_to_read(num_layers: int) -> tuple[int, ...]:
    """Layers of a target whose output its head reads: from low to the last."""
    chosen = {num_layers // 5, num_layers // 2 - 1, 3 * num_layers // 4, num_layers - 1}
    return tuple(sorted(layer for layer in chosen if layer >= 0))


def head_shape(config: PretrainedConfig, vocab_size: int) -> HeadShape:
    """The sizes of a head for a target.

    Args:
        config: Configuration of the target.
        vocab_size: Tokens that it can propose.
    """
    text = config.get_text_config()
    hidden, heads = text.hidden_size, text.num_attention_heads
    rope = getattr(text, "rope_parameters", None) or {}
    return HeadShape(
        hidden=hidden,
        num_layers=len(layers_to_read(text.num_hidden_layers)),
        vocab_size=vocab_size,
        heads=heads,
        kv_heads=getattr(text, "num_key_value_heads", None) or heads,
        head_dim=getattr(text, "head_dim", None) or hidden // heads,
        intermediate=getattr(text, "intermediate_size", None) or 4 * hidden,
        rope_theta=float(rope.get("rope_theta", getattr(text, "rope_theta", 10_000.0))),
        norm_eps=float(getattr(text, "rms_norm_eps", 1e-5)),
    )


def take_over(head: DraftHead, model: PreTrainedModel, vocabulary: Sequence[int]) -> None:
    """Begin with the target's embedding and its last layer, as far as they have the same shape.

    Args:
        head: New.
        model: The target.
        vocabulary: Tokens that the head can propose.
    """
    table = model.get_input_embeddings().weight.detach().float()
    if table.shape[1] == head.shape.hidden:
        known = torch.cat([table[list(vocabulary)], table.mean(0, keepdim=True)])
        _copy(head, {"table": known, "token_in": torch.eye(table.shape[1]) / table.std()})
    layers = getattr(model.get_decoder(), "layers", None)
    if layers is None:
        return
    last = {name: tensor.float() for name, tensor in layers[-1].state_dict().items()}
    _copy(head, {ours: last.get(f"{theirs}.weight") for ours, theirs in _LAYER.items()})
    with torch.no_grad():  # the states that it reads are scaled, so what it adds is too
        head.o.weight.mul_(_QUIETER)
        head.down.weight.mul_(_QUIETER)
    norm = getattr(model.get_decoder(), "norm", None)
    _copy(head, {"norm": None if norm is None else norm.weight.detach().float()})


def continue_head(head: DraftHead, start: Path, vocabulary: Sequence[int]) -> None:
    """Begin with the weights of another head, as they are stored.

    Args:
        head: New; tokens that the other head does not propose keep their embeddings.
        start: Folder of the other head.
        vocabulary: Tokens that the new head can propose.

    Raises:
        ConfigError: The heads differ in size.
    """
    graph = Head.open(start).graph_for(BASE.name)
    parts = read_parts(openvino_core().read_model(graph))
    weights = _weights(parts)
    own = dict(head.named_parameters())
    for name, weight in weights.items():
        if own[f"{name}.weight"].shape != weight.shape:
            raise ConfigError(
                f"{start} has {name} of {list(weight.shape)}, and this target's head "
                f"{list(own[f'{name}.weight'].shape)}",
                "Start with a head for a target of the same sizes",
            )
    table = head.table.weight.detach().clone()
    theirs = torch.from_numpy(parts.table.dequantize())
    rows = torch.from_numpy(parts.rows[list(vocabulary)]).long()
    known = rows < len(theirs) - 1
    table[:-1][known] = theirs[rows[known]]
    table[-1] = theirs[-1]
    _copy(head, {**weights, "table": table})


def _weights(parts: HeadParts) -> dict[str, Tensor]:
    q, k, v = parts.qkv
    gate, up = parts.gate_up
    matrices = {
        "token_in": parts.token_in,
        "features_in": parts.features_in,
        "q": q,
        "k": k,
        "v": v,
        "o": parts.o,
        "gate": gate,
        "up": up,
        "down": parts.down,
    }
    norms = {
        "input_norm": parts.input_norm,
        "post_norm": parts.post_norm,
        "norm": parts.norm,
    }
    return {
        **{name: torch.from_numpy(weight.dequantize()) for name, weight in matrices.items()},
        **{name: torch.from_numpy(norm.weight) for name, norm in norms.items()},
    }


def _copy(head: DraftHead, weights: dict[str, Tensor | None]) -> None:
    own = dict(head.named_parameters())
    with torch.no_grad():
        for name, weight in weights.items():
            parameter = own[f"{name}.weight"]
            if weight is not None and weight.shape == parameter.shape:
                parameter.copy_(weight)
