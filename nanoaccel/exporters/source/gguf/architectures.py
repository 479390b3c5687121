"""Architectures whose GGUF files are read: how llama.cpp names and stores what they have.

These are facts about the files. What is true of an architecture wherever it comes from stands in
``nanoaccel.bundle.architectures``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nanoaccel.exporters.source.gguf.keys import Keys
from nanoaccel.exporters.source.gguf.own_fields import (
    gemma2_fields,
    gemma3_fields,
    granite_fields,
    no_fields,
    phi3_fields,
)

_EVERYWHERE = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_LLAMA = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_HEAD_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
_GEMMA2 = _LLAMA | {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_PHI3 = {
    "attn_norm": "input_layernorm",
    "attn_qkv": "self_attn.qkv_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_up": "mlp.gate_up_proj",
    "ffn_down": "mlp.down_proj",
}
_OLMO2 = {
    name: module for name, module in _LLAMA.items() if name not in ("attn_norm", "ffn_norm")
} | {
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GGUFArchitecture:
    """How the files of one architecture are read.

    Attributes:
        kind: transformers' `model_type`.
        layer: A layer's modules in transformers, by their names in the file.
        permuted: Rows of queries and keys are paired for rotation as llama.cpp pairs them.
        norms_from_one: transformers keeps norms' weights less one.
        biases: Modules that may have biases, by the option of the config that gives them.
        plain_heads: A head is as wide as the hidden size over the heads, always.
        partial_rotary: Only a part of a head may rotate.
        windowed_kind: `model_type` of files with a sliding window, where that is another one.
        own_fields: Fields of the config that only this architecture has.
    """

    kind: str
    layer: Mapping[str, str] = field(default_factory=lambda: _LLAMA)
    permuted: bool = False
    norms_from_one: bool = False
    biases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    plain_heads: bool = False
    partial_rotary: bool = False
    windowed_kind: str | None = None
    own_fields: Callable[[Keys, dict[str, Any]], dict[str, Any]] = no_fields

    def parameter_of(self, name: str) -> str | None:
        """The parameter of transformers for a tensor of the file, as `blk.3.attn_q.weight`."""
        base, _, kind = name.rpartition(".")
        if kind not in ("weight", "bias"):
            return None
        if base in _EVERYWHERE:
            return f"{_EVERYWHERE[base]}.{kind}"
        start, _, rest = base.partition(".")
        number, _, module = rest.partition(".")
        if start != "blk" or not number.isdigit() or module not in self.layer:
            return None
        return f"model.layers.{int(number)}.{self.layer[module]}.{kind}"


_ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
_BIASED = {"attention_bias": _ATTENTION, "mlp_bias": ("ffn_gate", "ffn_up", "ffn_down")}

ARCHITECTURES: Mapping[str, GGUFArchitecture] = {
    "llama": GGUFArchitecture(kind="llama", permuted=True, biases=_BIASED, windowed_kind="mistral"),
    "qwen2": GGUFArchitecture(kind="qwen2"),
    "qwen3": GGUFArchitecture(
        kind="qwen3", layer=_LLAMA | _HEAD_NORMS, biases={"attention_bias": _ATTENTION}
    ),
    "gemma": GGUFArchitecture(kind="gemma", norms_from_one=True),
    "gemma2": GGUFArchitecture(
        kind="gemma2", layer=_GEMMA2, norms_from_one=True, own_fields=gemma2_fields
    ),
    "gemma3": GGUFArchitecture(
        kind="gemma3_text",
        layer=_GEMMA2 | _HEAD_NORMS,
        norms_from_one=True,
        own_fields=gemma3_fields,
    ),
    "phi3": GGUFArchitecture(
        kind="phi3", layer=_PHI3, plain_heads=True, partial_rotary=True, own_fields=phi3_fields
    ),
    "granite": GGUFArchitecture(
        kind="granite", permuted=True, biases=_BIASED, plain_heads=True, own_fields=granite_fields
    ),
    "smollm3": GGUFArchitecture(kind="smollm3", permuted=True, biases=_BIASED, plain_heads=True),
    "olmo2": GGUFArchitecture(kind="olmo2", layer=_OLMO2 | _HEAD_NORMS, plain_heads=True),
}
