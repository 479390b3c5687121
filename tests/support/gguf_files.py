"""Models of transformers written as GGUF files, as llama.cpp's converter names and turns them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_MODULES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_FRAMED = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def write_gguf(
    path: Path,
    model: Any,
    architecture: str,
    *,
    fields: Mapping[str, object] | None = None,
    without: tuple[str, ...] = (),
    tensors: Mapping[str, np.ndarray] | None = None,
    kind: str | None = None,
    split: int = 0,
) -> Path:
    """Write a model; numbers become f32 and u32, `without` leaves keys and tensors out.

    Args:
        path: Where to.
        model: Of transformers.
        architecture: Of the file.
        fields: More keys, or other values; the architecture's own without its prefix.
        without: Names of keys or tensors.
        tensors: More tensors.
        kind: Type of the matrices, as "Q8_0"; None is f32.
        split: Tensors in each part; 0 is one file.
    """
    import gguf

    config = model.config
    writer = gguf.GGUFWriter(str(path), architecture, split_max_tensors=split)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters
    rope = rope.get("full_attention", rope)
    keys: dict[str, object] = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "attention.key_length": head_dim,
        "attention.value_length": head_dim,
        "rope.dimension_count": head_dim,
        "rope.freq_base": float(rope["rope_theta"]),
        "vocab_size": config.vocab_size,
        **(fields or {}),
    }
    for key, value in keys.items():
        if key not in without:
            general = key.startswith(("general.", "tokenizer.", "other."))
            _add(writer, key if general else f"{architecture}.{key}", value)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{index}" for index in range(config.vocab_size)])
    writer.add_token_merges(["t 0"])
    for name, values in [*_stored(model, architecture), *(tensors or {}).items()]:
        if name in without:
            continue
        if kind is not None and values.ndim == 2:
            number = gguf.GGMLQuantizationType[kind]
            writer.add_tensor(name, gguf.quantize(values, number), raw_dtype=number)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: Any, key: str, value: object) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def _stored(model: Any, architecture: str) -> list[tuple[str, np.ndarray]]:
    config, found = model.config, []
    names = _MODULES | (_FRAMED if architecture in ("gemma2", "gemma3", "olmo2") else {})
    for name, tensor in model.state_dict().items():
        values = tensor.detach().float().numpy()
        if name == "lm_head.weight":
            if config.tie_word_embeddings:
                continue
            place = "output.weight"
        elif name.startswith("model.layers."):
            _, _, layer, rest = name.split(".", 3)
            module, _, suffix = rest.rpartition(".")
            place = f"blk.{layer}.{names[module]}.{suffix}"
        else:
            place = {"embed_tokens": "token_embd", "norm": "output_norm"}[name.split(".")[1]]
            place += ".weight"
        if architecture in ("llama", "granite", "smollm3"):
            if ".attn_q." in place:
                values = _paired(values, config.num_attention_heads)
            if ".attn_k." in place:
                values = _paired(values, config.num_key_value_heads)
        if architecture.startswith("gemma") and place.endswith("norm.weight"):
            values = values + 1
        found.append((place, np.ascontiguousarray(values, np.float32)))
    return found


def _paired(values: np.ndarray, heads: int) -> np.ndarray:
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def llama3_factors(
    head_dim: int, theta: float, factor: float, low: float, high: float, original: int
) -> np.ndarray:
    """What the converter writes into rope_freqs.weight."""
    factors = []
    for place in range(0, head_dim, 2):
        turns = original / (2 * math.pi * theta ** (place / head_dim))
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, np.float32)
