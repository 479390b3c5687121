"""Which models can become an ONNX graph, asked before any weight is loaded."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanoaccel.errors import ConfigError, UnsupportedModelError
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.targets.onnx.builder_experts import DENSE

if TYPE_CHECKING:
    from transformers import PretrainedConfig

WEIGHTS = ("f32", "f16", "bf16", "int8", "int4", "nf4")
# The last two turn as their tables say up to a length, where the context of the bundle ends.
_ROTARY = ("default", "linear", "llama3", "yarn", "longrope", "dynamic")
_ATTENTION = ("full_attention", "sliding_attention")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
_MIXTURES = ("gpt_oss", "mixtral", "qwen3_moe")
_REMEDY = "Export it for OpenVINO: --runtime openvino"


def check_recipe(recipe: Recipe) -> None:
    """Refuse weights that ONNX Runtime cannot compute with.

    Raises:
        ConfigError: The type or a method of the recipe is one of these.
    """
    if recipe.weights not in WEIGHTS:
        raise ConfigError(
            f"weights={recipe.weights!r} do not go with runtime='onnx'",
            f"ONNX Runtime computes with {', '.join(WEIGHTS)}",
        )
    if recipe.weights == "nf4" and recipe.embeddings == "same":
        raise ConfigError(
            "embeddings='same' do not go with weights='nf4' and runtime='onnx'",
            "ONNX Runtime looks up in int8 and floats: choose one of them for embeddings",
        )
    if "lora-correction" in recipe.methods:
        raise ConfigError(
            "method 'lora-correction' does not go with runtime='onnx'",
            "Choose awq, scale-estimation or gptq",
        )


def check_architecture(config: PretrainedConfig) -> None:
    """Refuse models that the builder lacks, or whose graph cannot be packed.

    Raises:
        UnsupportedModelError: The model is one of these; the message says what is in the way.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as OWN

    known = builder_architectures() | DENSE.keys()
    found = OWN.get(config.model_type)
    if found not in known:
        kinds = sorted(kind for kind, name in OWN.items() if name in known)
        raise UnsupportedModelError(
            f"onnxruntime-genai's builder has no {config.model_type!r}, only {', '.join(kinds)}",
            _REMEDY,
        )
    reason = obstacle(config.get_text_config().to_dict())
    if reason is not None:
        raise UnsupportedModelError(
            f"{config.model_type!r} cannot be exported for ONNX Runtime: {reason}", _REMEDY
        )


def builder_architectures() -> set[str]:
    """Classes of transformers that the installed builder names when it chooses its own.

    Read from its source: the names that ``config.architectures[0]`` is compared with.
    """
    spec = find_spec("onnxruntime_genai")
    assert spec is not None
    assert spec.origin is not None
    source = (Path(spec.origin).parent / "models" / "builder.py").read_text(encoding="utf-8")
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare) or ast.unparse(node.left) != "config.architectures[0]":
            continue
        found |= {str(one.value) for one in node.comparators if isinstance(one, ast.Constant)}
    return found


def obstacle(config: Mapping[str, Any]) -> str | None:
    """What of a model's config.json a packed graph does not support; None when nothing."""
    kinds = set(config.get("layer_types") or ()) - set(_ATTENTION)
    if kinds:
        return f"it has layers of another kind than attention ({', '.join(sorted(kinds))})"
    if any((config.get(name) or 0) > 1 for name in _EXPERTS):
        reason = mixture_obstacle(config)
        if reason is not None:
            return reason
    if config.get("clip_qkv") is not None:
        return "it clips queries, keys and values (clip_qkv)"
    if config.get("attn_logit_softcapping") is not None:
        # transformers' own attention leaves the cap out, and so does what is traced from it.
        return "its attention caps logits (attn_logit_softcapping), which the traced graph does not"
    rotary = config.get("rope_parameters") or {}
    for one in (rotary, *(part for part in rotary.values() if isinstance(part, dict))):
        kind = one.get("rope_type") or "default"
        if kind not in _ROTARY:
            return f"its rotary embedding is {kind!r}; {', '.join(_ROTARY)} can be exported"
    return None


def mixture_obstacle(config: Mapping[str, Any]) -> str | None:
    """What of a mixture of experts QMoE does not compute; None when nothing.

    It weighs the chosen experts by a softmax of their logits, and gates by SwiGLU.
    """
    kind = config.get("model_type")
    if kind not in _MIXTURES:
        return f"its experts are none of {', '.join(_MIXTURES)}"
    if config.get("hidden_act", "silu") != "silu":
        return f"its experts are gated by {config['hidden_act']!r}, not by SwiGLU"
    if kind == "qwen3_moe" and not config.get("norm_topk_prob"):
        return "weights of the chosen experts do not sum to 1 (norm_topk_prob)"
    if config.get("mlp_only_layers") or config.get("decoder_sparse_step", 1) != 1:
        return "some of its layers have no experts (mlp_only_layers, decoder_sparse_step)"
    return None
