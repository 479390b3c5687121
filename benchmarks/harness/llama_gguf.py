"""Writes a Llama checkpoint as a GGUF file with bf16 weights, so that llama.cpp can quantize it.

The tokenizer is copied from another GGUF file: that of the model which the tokenizer came from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors import safe_open

_ROTATED = ("q_proj.weight", "k_proj.weight")


def write_gguf(checkpoint: Path, tokenizer: Path, out: Path) -> None:
    """Write a checkpoint of one file.

    Args:
        checkpoint: Folder with config.json and model.safetensors.
        tokenizer: The GGUF file that has its tokenizer.
        out: File to write.
    """
    config = json.loads((checkpoint / "config.json").read_text())
    writer = gguf.GGUFWriter(out, "llama")
    _add_shape(writer, config)
    _copy_tokenizer(writer, tokenizer)
    for name, tensor in _tensors(checkpoint, config):
        if tensor.ndim == 1:
            writer.add_tensor(name, tensor.float().numpy())
        else:
            bits = tensor.bfloat16().view(torch.uint16).numpy()
            writer.add_tensor(name, bits.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_vocab_size(config["vocab_size"])


def _copy_tokenizer(writer: gguf.GGUFWriter, source: Path) -> None:
    for name, entry in gguf.GGUFReader(source).fields.items():
        if not name.startswith("tokenizer."):
            continue
        kind = entry.types[0]
        parts = entry.types[-1] if kind is gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, entry.contents(), kind, parts)


def _tensors(checkpoint: Path, config: dict[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """Under the names that llama.cpp gives them."""
    heads = config["num_attention_heads"], config["num_key_value_heads"]
    known = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    with safe_open(checkpoint / "model.safetensors", "pt") as file:
        for name in file.keys():  # noqa: SIM118  # it is no dict
            tensor = file.get_tensor(name)
            for ending, count in zip(_ROTATED, heads, strict=True):
                if name.endswith(ending):
                    tensor = _in_pairs(tensor, count)
            yield known.get_name(name, (".weight",)), tensor


def _in_pairs(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows in the order of llama.cpp's rotary embedding, which turns neighbors."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)
