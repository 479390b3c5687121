"""The config of transformers that a GGUF file's fields describe."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.source.gguf.architectures import ARCHITECTURES, Architecture
from nanoaccel.exporters.source.gguf.keys import Keys
from nanoaccel.exporters.source.gguf.metadata import GGUFMetadata
from nanoaccel.exporters.source.gguf.rope import rope_parameters
from nanoaccel.exporters.source.gguf.stored import read_tensors

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_PLAIN_HEADS = ("phi3", "granite", "smollm3", "olmo2")  # hidden size over heads, always
_ROPE_TENSORS = ("rope_freqs", "rope_factors_long", "rope_factors_short")


def find_architecture(metadata: GGUFMetadata) -> Architecture:
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
        if architecture.kind != "phi3":
            raise keys.refusal("rope.dimension_count", turning)
        options["rope_parameters"]["partial_rotary_factor"] = turning / options["head_dim"]
    for option, modules in architecture.biases.items():
        options[option] = any(
            f"blk.{layer}.{module}.bias" in metadata.tensors
            for layer in range(options["num_hidden_layers"])
            for module in modules
        )
    kind = architecture.kind
    if kind == "llama" and keys.integer("attention.sliding_window", 0) > 0:
        if options["attention_bias"] or options["mlp_bias"]:
            raise keys.refusal("attention.sliding_window", "a window, beside biases")
        kind = "mistral"
        options["sliding_window"] = keys.integer("attention.sliding_window")
    options |= _own(kind, keys, options)
    if options["hidden_size"] != heads * options["head_dim"] and kind in _PLAIN_HEADS:
        raise keys.refusal("attention.key_length", options["head_dim"])
    if kind in _PLAIN_HEADS:
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


def _own(kind: str, keys: Keys, options: dict[str, Any]) -> dict[str, Any]:
    """What only one architecture has."""
    if kind == "granite":
        scale = keys.number("attention.scale", 0.0)
        if keys.has("rope.scaling.finetuned") and keys.flag("rope.scaling.finetuned") is False:
            raise keys.refusal("rope.scaling.finetuned", "false: layers without positions")
        return {
            "attention_multiplier": scale if scale != 0 else options["head_dim"] ** -0.5,
            "logits_scaling": _or_one(keys.number("logit_scale", 1.0)),
            "residual_multiplier": _or_one(keys.number("residual_scale", 1.0)),
            "embedding_multiplier": _or_one(keys.number("embedding_scale", 1.0)),
        }
    if kind == "phi3":
        window = keys.integer("attention.sliding_window", 0)
        scaling = options["rope_parameters"]
        original = scaling.get("original_max_position_embeddings")
        own = {} if original is None else {"original_max_position_embeddings": original}
        return own | {"sliding_window": window if window > 0 else None}
    return _gemma(kind, keys, options) if kind in ("gemma2", "gemma3_text") else {}


def _gemma(kind: str, keys: Keys, options: dict[str, Any]) -> dict[str, Any]:
    # The largest model of each family divides by its width over its heads, which no key says.
    layers, head_dim = options["num_hidden_layers"], options["head_dim"]
    largest = layers == (46 if kind == "gemma2" else 62)
    divisor = options["hidden_size"] / options["num_attention_heads"] if largest else head_dim
    scale = keys.number("attention.scale", 0.0)
    usual_window = 4096 if kind == "gemma2" else None
    own: dict[str, Any] = {
        "query_pre_attn_scalar": divisor if scale == 0 else 1 / scale**2,
        "sliding_window": keys.integer("attention.sliding_window", usual_window),
        "layer_types": _layer_types(kind, keys, layers),
    }
    if own["sliding_window"] < 1:
        raise keys.refusal("attention.sliding_window", own["sliding_window"])
    usual = (50.0, 30.0) if kind == "gemma2" else (0.0, 0.0)
    names = ("attn_logit_softcapping", "final_logit_softcapping")
    for name, default in zip(names, usual, strict=True):
        cap = keys.number(name, default)
        own[name] = cap if cap != 0 else None
    if kind == "gemma3_text":
        local = {"rope_type": "default", "rope_theta": keys.number("rope.freq_base_swa", 10000.0)}
        own["rope_parameters"] = {
            "full_attention": options["rope_parameters"],
            "sliding_attention": local,
        }
    return own


def _layer_types(kind: str, keys: Keys, layers: int) -> list[str]:
    name = "attention.sliding_window_pattern"
    every = 2 if kind == "gemma2" else 6
    local = tuple((layer + 1) % every != 0 for layer in range(layers))
    if keys.has(name):
        found = keys.pattern(name)
        if isinstance(found, int):
            local = tuple(found > 0 and (layer + 1) % found != 0 for layer in range(layers))
        else:
            local = found
    if len(local) != layers:
        raise keys.refusal(name, f"{len(local)} values for {layers} layers")
    return ["sliding_attention" if is_local else "full_attention" for is_local in local]


def _or_one(scale: float) -> float:
    return 1.0 if scale == 0 or math.isnan(scale) else scale


def _rope_tensors(metadata: GGUFMetadata) -> dict[str, np.ndarray]:
    wanted = {f"{name}.weight" for name in _ROPE_TENSORS} & metadata.tensors.keys()
    return {name.removesuffix(".weight"): values for name, values in read_tensors(metadata, wanted)}
