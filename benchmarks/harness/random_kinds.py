"""Models of about a billion random weights in bf16, of kinds that no plain Llama is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

KINDS: Mapping[str, Mapping[str, Any]] = {
    "qwen3_moe": {
        "hidden_size": 1024,
        "num_hidden_layers": 16,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "intermediate_size": 2048,
        "moe_intermediate_size": 512,
        "num_experts": 32,
        "num_experts_per_tok": 4,
    },
    "granitemoehybrid": {
        "hidden_size": 1536,
        "num_hidden_layers": 24,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "intermediate_size": 4096,
        "shared_intermediate_size": 4096,
        "num_local_experts": 0,
        "layer_types": ["mamba"] * 5
        + ["attention"]
        + ["mamba"] * 11
        + ["attention"]
        + ["mamba"] * 6,
        "mamba_n_heads": 48,
        "mamba_d_head": 64,
        "mamba_d_state": 128,
        "position_embedding_type": "nope",
    },
}
_COMMON = {
    "vocab_size": 49152,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}


def write_random_kind(folder: Path, kind: str) -> float:
    """Write a model with the sample's tokenizer; its weights in billions.

    Args:
        folder: Made; it takes 2 GB.
        kind: One of ``KINDS``.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from nanoaccel.exporters.source.model_source import resolve
    from nanoaccel.exporters.source.tokenizer_files import write_tokenizer

    folder.mkdir(parents=True)
    write_tokenizer(resolve("sample"), folder)
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **_COMMON, **KINDS[kind])
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="200MB")
    return sum(weight.numel() for weight in model.parameters()) / 1e9
