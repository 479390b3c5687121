"""Architectures whose GGUF files are read, and the names of their tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    name: place for name, place in _LLAMA.items() if name not in ("attn_norm", "ffn_norm")
} | {
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """How the files of one architecture are read.

    Attributes:
        kind: transformers' `model_type`.
        layer: A layer's modules in transformers, by their names in the file.
        permuted: Rows of queries and keys are paired for rotation as llama.cpp pairs them.
        norms_from_one: transformers keeps norms' weights less one.
        biases: Modules that may have biases, by the option of the config that gives them.
    """

    kind: str
    layer: Mapping[str, str] = field(default_factory=lambda: _LLAMA)
    permuted: bool = False
    norms_from_one: bool = False
    biases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def place(self, name: str) -> str | None:
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

ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture(kind="llama", permuted=True, biases=_BIASED),
    "qwen2": Architecture(kind="qwen2"),
    "qwen3": Architecture(
        kind="qwen3", layer=_LLAMA | _HEAD_NORMS, biases={"attention_bias": _ATTENTION}
    ),
    "gemma": Architecture(kind="gemma", norms_from_one=True),
    "gemma2": Architecture(kind="gemma2", layer=_GEMMA2, norms_from_one=True),
    "gemma3": Architecture(kind="gemma3_text", layer=_GEMMA2 | _HEAD_NORMS, norms_from_one=True),
    "phi3": Architecture(kind="phi3", layer=_PHI3),
    "granite": Architecture(kind="granite", permuted=True, biases=_BIASED),
    "smollm3": Architecture(kind="smollm3", permuted=True, biases=_BIASED),
    "olmo2": Architecture(kind="olmo2", layer=_OLMO2 | _HEAD_NORMS),
}
