"""The config of transformers that a GGUF file's fields describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.source.gguf.architectures import ARCHITECTURES, GGUFArchitecture
from nanoaccel.exporters.source.gguf.keys import Keys
from nanoaccel.exporters.source.gguf.metadata import GGUFMetadata
from nanoaccel.exporters.source.gguf.rope import rope_parameters
from nanoaccel.exporters.source.gguf.stored import read_tensors

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_ROPE_TENSORS = ("rope_freqs", "rope_factors_long", "rope_factors_short")


def find_architecture(metadata: GGUFMetadata) -> GGUFArchitecture:
    """How a file is read.

    Raises:
        UnsupportedModelError: It holds no model, or one of an architecture that is not known.
    """
    content = metadata.find("general.type", str)
    if content not in (None, "model"):
        raise UnsupportedModelError(
            f"{metadata.path} has general.type = {content}, it is no model", "Name a model's file"
        )
    found = ARCHITECTURES.get(metadata.architecture)
    if found is None:
        raise UnsupportedModelError(
            f"{metadata.path} has general.architecture = {metadata.architecture}; read are "
            f"{', '.join(sorted(ARCHITECTURES))}",
            "Export the original checkpoint instead",
        )
    return found


def build_config(metadata: GGUFMetadata) -> PretrainedConfig:
    """Every field that changes arithmetic, in transformers' words.

    Raises:
        GGUFError: A field is missing or of another type.
        UnsupportedModelError: The architecture or a key is not known, or cannot be had exactly.
    """
    from transformers import AutoConfig

    architecture = find_architecture(metadata)
    keys = Keys(metadata)
    options = _sizes(metadata, keys)
    heads = options["num_attention_heads"]
    turning = keys.integer("rope.dimension_count", options["head_dim"])
    options["rope_parameters"] = rope_parameters(keys, turning, _rope_tensors(metadata))
    if turning != options["head_dim"]:
        if not architecture.partial_rotary:
            raise keys.refusal("rope.dimension_count", turning)
        options["rope_parameters"]["partial_rotary_factor"] = turning / options["head_dim"]
    for option, modules in architecture.biases.items():
        options[option] = any(
            f"blk.{layer}.{module}.bias" in metadata.tensors
            for layer in range(options["num_hidden_layers"])
            for module in modules
        )
    kind = architecture.kind
    if architecture.windowed_kind is not None and keys.integer("attention.sliding_window", 0) > 0:
        if options["attention_bias"] or options["mlp_bias"]:
            raise keys.refusal("attention.sliding_window", "a window, beside biases")
        kind = architecture.windowed_kind
        options["sliding_window"] = keys.integer("attention.sliding_window")
    options |= architecture.own_fields(keys, options)
    if architecture.plain_heads:
        if options["hidden_size"] != heads * options["head_dim"]:
            raise keys.refusal("attention.key_length", options["head_dim"])
        del options["head_dim"]
    keys.check_all_used()
    return AutoConfig.for_model(kind, **options)


def _sizes(metadata: GGUFMetadata, keys: Keys) -> dict[str, Any]:
    hidden, heads = keys.integer("embedding_length"), keys.integer("attention.head_count")
    if heads < 1 or hidden < 1:
        raise keys.refusal("attention.head_count", heads)
    head_dim = keys.integer("attention.key_length", hidden // heads)
    if keys.integer("attention.value_length", head_dim) != head_dim:
        raise keys.refusal("attention.value_length", keys.integer("attention.value_length"))
    embedding = metadata.tensors.get("token_embd.weight")
    if embedding is None:
        raise UnsupportedModelError(f"{keys.path} has no token_embd.weight", "Download it again")
    tokens = len(metadata.require_array("tokenizer.ggml.tokens", str))
    vocabulary = keys.integer("vocab_size", embedding.shape[0])
    if vocabulary != embedding.shape[0] or tokens > vocabulary:
        raise UnsupportedModelError(
            f"{keys.path} has {tokens} tokens, a vocab_size of {vocabulary}, and "
            f"{embedding.shape[0]} rows in token_embd.weight",
            "Convert it again from the original checkpoint",
        )
    return {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "head_dim": head_dim,
        "num_attention_heads": heads,
        "num_key_value_heads": keys.integer("attention.head_count_kv", heads),
        "num_hidden_layers": keys.integer("block_count"),
        "intermediate_size": keys.integer("feed_forward_length"),
        "max_position_embeddings": keys.integer("context_length"),
        "rms_norm_eps": keys.number("attention.layer_norm_rms_epsilon"),
        "tie_word_embeddings": "output.weight" not in metadata.tensors,
        "bos_token_id": metadata.find("tokenizer.ggml.bos_token_id", int),
        "eos_token_id": metadata.find("tokenizer.ggml.eos_token_id", int),
        "pad_token_id": None,
    }


def _rope_tensors(metadata: GGUFMetadata) -> dict[str, np.ndarray]:
    names = {f"{name}.weight" for name in _ROPE_TENSORS} & metadata.tensors.keys()
    return {name.removesuffix(".weight"): values for name, values in read_tensors(metadata, names)}
