"""The keys of a GGUF file that a config of transformers becomes.

They are those that ``exporters.source.gguf`` reads, and are read back: a config that the keys
cannot say is refused, whatever it is that they leave out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nanoaccel.errors import NanoAccelError, UnsupportedModelError
from nanoaccel.exporters.source.gguf.architectures import ARCHITECTURES, GGUFArchitecture

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PretrainedConfig

    from nanoaccel.exporters.source.gguf import GGUFMetadata

_REMEDY = "Convert it to a bundle instead, or use llama.cpp's own converter"
_KINDS = {known.kind: name for name, known in ARCHITECTURES.items()} | {"mistral": "llama"}
# Fields that change no number that an inference computes.
_SILENT = (
    *("architectures", "dtype", "torch_dtype", "transformers_version", "_name_or_path"),
    *("initializer_range", "use_cache", "attention_dropout", "resid_pdrop", "embd_pdrop"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "pretraining_tp", "hidden_activation"),
    *("max_window_layers", "use_sliding_window", "sliding_window_pattern", "id2label", "label2id"),
    *("return_dict", "output_hidden_states", "chunk_size_feed_forward", "is_encoder_decoder"),
    *("problem_type", "output_attentions", "router_aux_loss_coef", "no_rope_layer_interval"),
    *("rope_theta", "_attn_implementation", "model_type", "quantization_config"),
    *("original_max_position_embeddings", "num_local_experts", "tokenizer_class"),
)


def architecture_for(config: PretrainedConfig) -> tuple[str, GGUFArchitecture]:
    """llama.cpp's name of an architecture, and how its files are written.

    Raises:
        UnsupportedModelError: It cannot be written.
    """
    name = _KINDS.get(config.model_type)
    if name is None:
        raise UnsupportedModelError(
            f"{config.model_type!r} cannot be written as GGUF; written are "
            f"{', '.join(sorted(_KINDS))}",
            _REMEDY,
        )
    return name, ARCHITECTURES[name]


def fields_of(config: PretrainedConfig) -> dict[str, object]:
    """The keys of the model itself, without the architecture's prefix.

    Args:
        config: Configuration of a model that ``architecture_for`` knows.
    """
    head_dim = _head_dim(config)
    rope = _rope(config)
    fields: dict[str, object] = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "attention.key_length": head_dim,
        "attention.value_length": head_dim,
        "rope.dimension_count": int(head_dim * rope.get("partial_rotary_factor", 1.0)),
        "rope.freq_base": float(rope["rope_theta"]),
        "vocab_size": config.vocab_size,
        **_scaling(rope, config),
        **_own_fields(config),
    }
    return fields


def rope_tensors(config: PretrainedConfig) -> dict[str, NDArray[np.float32]]:
    """What of a rotary embedding stands in tensors: Llama 3's and LongRoPE's factors."""
    rope = _rope(config)
    kind = rope.get("rope_type")
    if kind == "llama3":
        return {"rope_freqs.weight": _llama3_factors(rope, _head_dim(config))}
    if kind == "longrope":
        return {
            f"rope_factors_{name}.weight": np.array(rope[f"{name}_factor"], np.float32)
            for name in ("long", "short")
        }
    return {}


def check_config(written: GGUFMetadata, config: PretrainedConfig) -> None:
    """Read a file's keys back; whoever reads it must find the model that was written.

    Raises:
        UnsupportedModelError: The keys describe another model.
    """
    from nanoaccel.exporters.source.gguf import build_config

    try:
        found = build_config(written)
    except NanoAccelError as error:
        raise UnsupportedModelError(
            f"{config.model_type!r} cannot be written as GGUF: {error.problem}", _REMEDY
        ) from error
    own, read = config.to_dict(), found.to_dict()
    window = own.get("sliding_window")
    if config.model_type == "mistral" and window and window < config.max_position_embeddings:
        raise UnsupportedModelError(
            f"llama.cpp does not know sliding_window={window} of a 'mistral'", _REMEDY
        )
    for name in sorted(own.keys() & read.keys()):
        if name not in _SILENT and not _alike(own[name], read[name]):
            raise UnsupportedModelError(
                f"a GGUF file cannot say {name}={own[name]!s:.80} of this {config.model_type!r}",
                _REMEDY,
            )


def written_metadata(path: Path) -> GGUFMetadata:
    """The keys of a file that was just written."""
    from nanoaccel.exporters.source.gguf import read_metadata

    return read_metadata(path)


def _head_dim(config: PretrainedConfig) -> int:
    found = getattr(config, "head_dim", None)
    return int(config.hidden_size // config.num_attention_heads if found is None else found)


def _rope(config: PretrainedConfig) -> Mapping[str, Any]:
    rope: Mapping[str, Any] = config.rope_parameters
    whole: Mapping[str, Any] = rope.get("full_attention", rope)
    return whole


def _scaling(rope: Mapping[str, Any], config: PretrainedConfig) -> dict[str, object]:
    kind = rope.get("rope_type", "default")
    if kind in ("default", "llama3"):
        return {}
    if kind == "linear":
        return {"rope.scaling.type": "linear", "rope.scaling.factor": float(rope["factor"])}
    found = rope.get("original_max_position_embeddings")
    original = int(config.original_max_position_embeddings if found is None else found)
    fields: dict[str, object] = {"rope.scaling.original_context_length": original}
    if kind == "longrope":
        factor = config.max_position_embeddings / original
        usual = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
        attention = rope.get("attention_factor")
        fields["rope.scaling.attn_factor"] = float(usual if attention is None else attention)
    elif kind == "yarn":
        fields |= {"rope.scaling.type": "yarn", "rope.scaling.factor": float(rope["factor"])}
        fields |= {
            f"rope.scaling.yarn_{name}": float(rope[name])
            for name in ("beta_fast", "beta_slow")
            if rope.get(name) is not None
        }
    else:
        raise UnsupportedModelError(f"a GGUF file cannot say rope_type={kind!r}", _REMEDY)
    return fields


def _own_fields(config: PretrainedConfig) -> dict[str, object]:
    """Keys that only some architectures have."""
    kind = config.model_type
    if kind == "granite":
        return {
            "attention.scale": float(config.attention_multiplier),
            "logit_scale": float(config.logits_scaling),
            "residual_scale": float(config.residual_multiplier),
            "embedding_scale": float(config.embedding_multiplier),
        }
    if kind == "phi3" and config.sliding_window is not None:
        return {"attention.sliding_window": config.sliding_window}
    if kind not in ("gemma2", "gemma3_text"):
        return {}
    own: dict[str, object] = {"attention.sliding_window": config.sliding_window}
    for name in ("attn_logit_softcapping", "final_logit_softcapping"):
        cap = getattr(config, name, None)
        if cap is not None:
            own[name] = float(cap)
        elif kind == "gemma2":  # llama.cpp always caps, and divides by what is not there
            raise UnsupportedModelError(f"a GGUF file cannot say {name}=None of gemma2", _REMEDY)
    return own


def _llama3_factors(rope: Mapping[str, Any], head_dim: int) -> NDArray[np.float32]:
    """As llama.cpp's converter makes rope_freqs.weight."""
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    turns = rope["rope_theta"] ** -(np.arange(0, head_dim, 2) / head_dim) / (2 * math.pi)
    smooth = (rope["original_max_position_embeddings"] * turns - low) / (high - low)
    smooth = np.clip(smooth, 0, 1)
    factors: NDArray[np.float32] = 1 / ((1 - smooth) / rope["factor"] + smooth)
    return factors.astype(np.float32)


def _alike(one: object, other: object) -> bool:
    """Equal, as far as numbers survive f32, and None in a mapping is no value."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        names = {name for name in {*one, *other} if not name.startswith("attention_factor")}
        return all(_alike(one.get(name), other.get(name)) for name in names if name in one)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-5)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_alike, one, other))
    return one == other
