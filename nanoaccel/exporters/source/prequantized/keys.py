"""Keys of a quantization config that are known to leave the weights' meaning alone.

What a key that is not here asks for (a rotation, a transform while the model runs, rounded
activations, a rounded cache) would be lost without a word, so its name refuses the checkpoint. A
key that says nothing (null, or an empty list) asks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SHARED = ("quant_method", "modules_to_not_convert", "backend")

# How the quantizer searched, or what a kernel of another runtime likes.
_GPTQ = (
    *_SHARED,
    *("bits", "group_size", "sym", "desc_act", "static_groups", "true_sequential", "lm_head"),
    "pack_dtype",
    *("checkpoint_format", "format", "is_marlin_format", "dynamic", "meta"),
    *("damp_percent", "damp_auto_increment", "mse", "act_group_aware", "hyb_act", "v2", "v2_alpha"),
    *("model_name_or_path", "model_file_base_name", "quantize_config", "tokenizer", "dataset"),
    *("model_seqlen", "block_name_to_quantize", "module_name_preceding_first_block"),
    *("modules_in_block_to_quantize", "batch_size", "pad_token_id", "cache_block_outputs"),
    *("use_exllama", "disable_exllama", "exllama_config", "use_cuda_fp16", "max_input_length"),
    *("offload_to_disk", "offload_to_disk_path", "awq_gemm_checkpoint", "cache_examples_on_gpu"),
)
_AWQ = (
    *_SHARED,
    *("bits", "w_bit", "group_size", "q_group_size", "zero_point", "version", "format"),
    *("do_fuse", "modules_to_fuse", "fuse_max_seq_len", "exllama_config", "quantize_config"),
    *("meta", "sym", "desc_act", "lm_head", "dynamic", "checkpoint_format", "pack_dtype"),
    *("true_sequential", "duo_scaling", "apply_clip"),
)
_COMPRESSED_TENSORS = (
    *_SHARED,
    *("config_groups", "format", "ignore", "quantization_status", "global_compression_ratio"),
    *("sparsity_config", "version", "run_compressed"),
)
_BITSANDBYTES = (
    *_SHARED,
    *("load_in_4bit", "load_in_8bit", "_load_in_4bit", "_load_in_8bit"),
    *("bnb_4bit_compute_dtype", "bnb_4bit_quant_storage", "bnb_4bit_quant_type"),
    *("bnb_4bit_use_double_quant", "llm_int8_enable_fp32_cpu_offload"),
    *("llm_int8_has_fp16_weight", "llm_int8_skip_modules", "llm_int8_threshold"),
)
_MXFP4 = (*_SHARED, "dequantize")
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "gptq": _GPTQ,
    "awq": _AWQ,
    "compressed-tensors": _COMPRESSED_TENSORS,
    "bitsandbytes": _BITSANDBYTES,
    "mxfp4": _MXFP4,
}
_GROUP = ("targets", "weights", "format")
_WEIGHTS = (
    *("num_bits", "type", "symmetric", "group_size", "strategy", "block_structure", "dynamic"),
    *("actorder", "observer", "observer_kwargs", "scale_dtype", "zp_dtype"),
)
# Keys that say what is read here as long as they have one of these values.
_VALUES: Mapping[str, tuple[Any, ...]] = {
    "pack_dtype": ("int32",),
    "is_marlin_format": (False,),
    "zero_point": (True,),
    "dynamic": (False,),  # of weights: that their scales are stored
    "quantization_status": ("compressed", "frozen"),
    "type": ("int", "float"),
    "awq_gemm_checkpoint": (False,),
}


def unknown_keys(method: str, quantization: Mapping[str, Any]) -> list[str]:
    """Keys that ask for something unsupported, each with its value.

    Args:
        method: One of those that can be read.
        quantization: Its config.
    """
    found = list(_unknown(quantization, _KNOWN[method], "", free=("dynamic",)))
    for name, group in (quantization.get("config_groups") or {}).items():
        found += _unknown(group, _GROUP, f"config_groups.{name}.")
        found += _unknown(group.get("weights") or {}, _WEIGHTS, f"config_groups.{name}.weights.")
    return found


def _unknown(
    said: Mapping[str, Any], known: tuple[str, ...], prefix: str, free: tuple[str, ...] = ()
) -> Iterator[str]:
    for key, value in said.items():
        if value is None or value in ({}, [], ""):
            continue
        fits = key in free or key not in _VALUES or value in _VALUES[key]
        if key not in known or not fits:
            text = str(value)
            yield f"{prefix}{key} = {text if len(text) <= 60 else text[:57] + '...'}"
