"""A tiny config of any model_type that transformers has, made by shrinking its own defaults.

Names of sizes are read from the config class's signature, so that a type that transformers gains
is in the table on the day it is installed.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanoaccel.bundle import find_context_length

VOCAB_SIZE = 512
CONTEXT = 1024
WINDOW = 48
_PART_NAME = re.compile(r"^model\.")
BORDER = 96  # where a rotary embedding with two sets of factors changes them

# Any of these names that a class takes gets this value.
_SIZES: Mapping[str, Any] = {
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), VOCAB_SIZE),
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "word_embed_proj_dim"), 64),
    **dict.fromkeys(
        ("intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner", "block_ff_dim"), 96
    ),
    **dict.fromkeys(
        ("shared_intermediate_size", "shared_expert_intermediate_size", "moe_intermediate_size"), 32
    ),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(
        ("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"), 4
    ),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads"), 2),
    **dict.fromkeys(("head_dim", "query_pre_attn_scalar"), 16),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), CONTEXT),
    **dict.fromkeys(("sliding_window", "window_size", "attention_chunk_size"), WINDOW),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "altup_num_inputs"), 2),
    **dict.fromkeys(("num_shared_experts", "n_shared_experts", "num_dense_layers"), 1),
    **dict.fromkeys(("state_size", "mamba_d_state", "time_step_rank"), 16),
    **dict.fromkeys(("rotary_dim", "mamba_n_heads", "laurel_rank"), 8),
    "mamba_d_head": 16,
    "mamba_chunk_size": 16,
    "logit_scale": 1.0,
    "hidden_size_per_layer_input": 8,
    "num_kv_shared_layers": 0,
    "initializer_range": 0.3,
    "init_std": 0.3,
}
_MLA: Mapping[str, Any] = {
    "q_lora_rank": 32,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 16,
    "num_key_value_heads": 4,
}
_GROUPS: Mapping[str, Any] = {"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1}
# Of rotary frequencies, by the axes of an image; a text has one position for all.
_SECTIONS: Mapping[str, Any] = {
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
}
# Of each part of a model that reads bytes.
_BYTES: Mapping[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
_TOKENS = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}

# What the defaults do not show, or what shrinking cannot guess.
_EXCEPTIONS: Mapping[str, Mapping[str, Any]] = {
    "blt": {
        "encoder_hash_byte_group_vocab": 64,
        "patcher_config": _BYTES,
        "encoder_config": {**_BYTES, "hidden_size_global": 64},
        "decoder_config": {**_BYTES, "hidden_size_global": 64},
        "global_config": _BYTES,
    },
    "bamba": {"attn_layer_indices": [1]},
    "bloom": {"seq_length": CONTEXT},
    "dbrx": {
        "attn_config": {"clip_qkv": 8.0, "kv_n_heads": 2, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": 96, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "deepseek_v2": {"topk_method": "greedy"},
    "glm4_moe_lite": {"mlp_layer_types": ["dense", "sparse"]},
    "falcon_h1": {"mamba_d_ssm": 128},
    "gemma3n_text": {"activation_sparsity_pattern": [0.0, 0.0]},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gpt_oss": {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "lfm2": {"block_auto_adjust_ff_dim": False, "layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "longcat_flash": {"head_dim": _MLA["qk_rope_head_dim"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4},
    "kimi_linear": {"linear_head_dim": 16, "linear_num_heads": 4},
    "llama4_text": {"num_experts_per_tok": 1},
    "mamba2": {"num_heads": 8},
    "nemotron_h": {
        "ssm_state_size": 16,
        "mamba_num_heads": 8,
        "mamba_head_dim": 16,
        "n_groups": 2,
        "moe_shared_expert_intermediate_size": 32,
    },
    "qwen3_moe": {"head_dim": 16},
    "qwen2_5_vl_text": _SECTIONS,
    "qwen2_vl_text": _SECTIONS,
    "phi": {"num_key_value_heads": 4},
    "phi3": {"original_max_position_embeddings": CONTEXT},
}


def _scaled(kind: str, **more: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}}


# The same types in other clothes: other positions, masks and layers than by default.
VARIANTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "bloom": {"post norm": {"apply_residual_connection_post_layernorm": True}},
    "falcon": {
        "alibi": {"alibi": True},
        "alibi, all heads": {"alibi": True, "multi_query": False, "num_kv_heads": 4},
        "new decoder": {"new_decoder_architecture": True},
    },
    "gemma2": {"no soft cap": {"attn_logit_softcapping": None}},
    "gemma4_text": {
        "experts": {
            "enable_moe_block": True,
            "num_experts": 4,
            "top_k_experts": 2,
            "moe_intermediate_size": 32,
        }
    },
    "gemma3_text": {"linear": {"sliding_window": WINDOW, "layer_types": ["full_attention"] * 2}},
    "gpt2": {"scaled by layer": {"scale_attn_by_inverse_layer_idx": True}},
    "gpt_oss": {
        "yarn": _scaled("yarn", factor=8.0, original_max_position_embeddings=128, truncate=False)
    },
    "granite": {"scaled": {"attention_multiplier": 0.06, "logits_scaling": 2.0}},
    "granitemoehybrid": {
        "attention alone": {"layer_types": ["attention"] * 2},
        "attention alone, rotary": {
            "layer_types": ["attention"] * 2,
            "position_embedding_type": "rope",
        },
        "dense": {
            "layer_types": ["mamba", "attention"],
            "num_local_experts": 0,
            "num_experts_per_tok": 0,
        },
    },
    "lfm2": {"attention alone": {"layer_types": ["full_attention"] * 2}},
    "llama": {
        "linear": _scaled("linear", factor=2.0),
        "dynamic": {**_scaled("dynamic", factor=2.0), "max_position_embeddings": BORDER},
        "yarn": _scaled("yarn", factor=4.0, original_max_position_embeddings=128),
        "llama3": _scaled(
            "llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=128,
        ),
        "biases": {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
    },
    "llama4_text": {
        "tuned": {
            "no_rope_layers": [1, 0],
            "layer_types": ["chunked_attention", "full_attention"],
            "floor_scale": 16,
        }
    },
    "mistral": {"no window": {"sliding_window": None}},
    "mixtral": {"no window": {"sliding_window": None}},
    "mpt": {
        "clip": {"attn_config": {"clip_qkv": 1.0}},
    },
    "olmo": {"clip": {"clip_qkv": 1.0}},
    "opt": {"post norm": {"do_layer_norm_before": False}},
    "phi": {"grouped": {"num_key_value_heads": 2}},
    "phi3": {
        "longrope": {
            **_scaled(
                "longrope",
                long_factor=[4.0] * 8,
                short_factor=[1.0] * 8,
                original_max_position_embeddings=BORDER,
            ),
            "original_max_position_embeddings": BORDER,
        },
        "window": {"sliding_window": WINDOW},
        "no window": {"sliding_window": None},
    },
    "qwen2": {
        "window": {
            "use_sliding_window": True,
            "layer_types": ["full_attention", "sliding_attention"],
        }
    },
    "qwen3": {
        "window": {
            "use_sliding_window": True,
            "layer_types": ["full_attention", "sliding_attention"],
        }
    },
    "stablelm": {"parallel": {"use_parallel_residual": True, "qk_layernorm": True}},
    "starcoder2": {"window": {"sliding_window": WINDOW}},
}


# Checkpoints that see or hear too, by the type of the text decoder in them.
_PARTS: Mapping[str, str] = {
    "aya_vision": "cohere2",
    "fuyu": "persimmon",
    "gemma3": "gemma3_text",
    "gemma3n": "gemma3n_text",
    "gemma4": "gemma4_text",
    "gemma4_unified": "gemma4_unified_text",
    "got_ocr2": "qwen2",
    "idefics3": "llama",
    "internvl": "qwen2",
    "lfm2_vl": "lfm2",
    "llama4": "llama4_text",
    "llava": "llama",
    "mistral3": "ministral3",
    "paligemma": "gemma",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen2_vl": "qwen2_vl_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "smolvlm": "llama",
}

# Models that write drafts for another, by the type of the decoder in them.
_DRAFTS: Mapping[str, str] = {
    "gemma4_assistant": "gemma4_text",
    "gemma4_unified_assistant": "gemma4_unified_text",
}


@dataclass(frozen=True, slots=True)
class Family:
    """A row of the table.

    Args:
        kind: The model_type.
        variant: Which of its clothes; empty for its defaults.
        more: What differs from these.
    """

    kind: str
    variant: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For people and for tests."""
        return f"{self.kind} ({self.variant})" if self.variant else self.kind


def families() -> list[Family]:
    """Every causal language model of the installed transformers, and some that have other parts."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    found = []
    parts = set(_PARTS) & set(CONFIG_MAPPING_NAMES)
    for kind in sorted({*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *parts}):
        found.append(Family(kind))
        found += [Family(kind, name, more) for name, more in VARIANTS.get(kind, {}).items()]
    return found


def config_of(family: Family) -> dict[str, Any]:
    """What to put into a tiny config.json of a family.

    A type that transformers itself cannot make without its parts keeps its name alone.
    """
    if family.kind in _PARTS:
        text = config_of(Family(_PARTS[family.kind]))
        return {"model_type": family.kind, "text_config": text, **_TOKENS}
    if family.kind in _DRAFTS:
        plain = {"hidden_size_per_layer_input": 0}
        text = config_of(Family(_DRAFTS[family.kind], more=plain))
        return {"model_type": family.kind, "text_config": text, **_TOKENS}
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    taken = set(inspect.signature(CONFIG_MAPPING[family.kind].__init__).parameters)
    sizes = {name: value for name, value in _SIZES.items() if name in taken}
    try:
        usual = AutoConfig.for_model(family.kind)
    except TypeError:
        return {"model_type": family.kind}
    kinds = list(dict.fromkeys(getattr(usual, "layer_types", None) or ()))
    named = [name for name in ("layer_types", "layers_block_type") if name in taken]
    if named and kinds:
        sizes[named[0]] = (kinds * 2)[:2] if len(kinds) < 2 else kinds
        sizes["num_hidden_layers"] = len(sizes[named[0]])
    if getattr(usual, "sliding_window", None) is None:
        sizes.pop("sliding_window", None)
    if find_context_length(usual.to_dict()) is None:
        sizes["max_position_embeddings"] = CONTEXT
    if "kv_lora_rank" in taken:
        sizes.update({name: value for name, value in {**_MLA, **_GROUPS}.items() if name in taken})
    sizes.update(_EXCEPTIONS.get(family.kind, {}))
    sizes.update(family.more)
    return {"model_type": family.kind, **_TOKENS, **sizes}


def make_model(family: Family, seed: int = 0) -> Any:
    """A random torch model of a family, in f32; no weight is 0 or 1 that a text could depend on."""
    import torch
    from transformers import AutoConfig

    from nanoaccel.exporters.source.text_part import decoder_class

    torch.manual_seed(seed)
    made = dict(config_of(Family(_PARTS.get(family.kind, family.kind), more=family.more)))
    config = AutoConfig.for_model(made.pop("model_type"), **made)
    kind = decoder_class(config)
    assert kind is not None
    model = kind._from_config(config).float().eval()
    with torch.no_grad():
        for weight in model.parameters():
            if not bool(weight.isfinite().all()) or not bool(weight.any()):
                weight.normal_(0.0, 0.2)
            elif weight.ndim == 1:
                weight.add_(0.1 * torch.randn_like(weight))
    return model


def write_model(family: Family, folder: Path) -> None:
    """The weights and the configuration of a tiny model, as its makers would publish them."""
    make_model(family).save_pretrained(folder)
    if family.kind not in _PARTS:
        return
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    named = {_PART_NAME.sub(r"model.language_model.", name): w for name, w in weights.items()}
    eye = {"model.vision_tower.embeddings.weight": next(iter(weights.values())).clone()}
    save_file({**named, **eye}, folder / "model.safetensors", {"format": "pt"})
    text = json.loads((folder / "config.json").read_text())
    whole = {**config_of(family), "text_config": text}
    (folder / "config.json").write_text(json.dumps(whole))
