"""Mixtures of experts that onnxruntime-genai's builder has no class for, over those that it has.

Their attention is that of a dense architecture, and their experts are those of Qwen3.5 without the
shared one: softmax over the chosen logits, SwiGLU. This runs in the builder's process.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType
from typing import Any

# The dense architecture of each.
DENSE = MappingProxyType(
    {"MixtralForCausalLM": "MistralForCausalLM", "Qwen3MoeForCausalLM": "Qwen3ForCausalLM"}
)
_CLASSES = {"MixtralForCausalLM": "MistralModel", "Qwen3MoeForCausalLM": "Qwen3Model"}
_FOUND = "nanoaccel_architecture"


def take_as_dense(config: Any) -> None:
    """Name the dense architecture in a config, so that the builder chooses its class."""
    names = getattr(config, "architectures", None) or [""]
    if names[0] in DENSE:
        setattr(config, _FOUND, names[0])
        config.architectures = [DENSE[names[0]]]


def add_experts() -> None:
    """Let the classes of dense architectures build mixtures where the config was one.

    GPT-OSS too is built from rotary embeddings of any kind then, as all others are: its class
    computes tables of YaRN alone, and none of the builder's tables is kept.
    """
    import_module("onnxruntime_genai.models")  # puts its folder on the path
    builders = import_module("builders")
    for name, kind in _CLASSES.items():
        dense = getattr(builders, kind)
        setattr(builders, kind, _choose(name, dense, _with_experts(dense)))
    caches = "make_rotary_embedding_caches_from_scratch"
    setattr(builders.GPTOSSModel, caches, getattr(builders.Model, caches))


def _choose(name: str, dense: type, mixture: type) -> Callable[..., Any]:
    def make(config: Any, *others: Any) -> Any:
        kind = mixture if getattr(config, _FOUND, None) == name else dense
        return kind(config, *others)

    return make


def _with_experts(dense: Any) -> type:
    """A class of the builder whose layers have experts in place of one MLP."""
    known = import_module("builders.qwen").Qwen35MoETextModel

    class Mixture(dense):  # type: ignore[misc]
        get_moe_module = known.get_moe_module
        make_moe_preprocessing = known.make_moe_preprocessing
        make_moe_router = known.make_moe_router

        def __init__(self, config: Any, *others: Any) -> None:
            super().__init__(config, *others)
            self.moe_intermediate_size = self.intermediate_size
            self.moe_attrs["activation_type"] = "swiglu"
            self.moe_attrs["swiglu_fusion"] = 1
            self.moe_attrs["normalize_routing_weights"] = True

        def make_moe_subgraph(self, layer_id: int, _: Any, root_input: str) -> None:
            basename = f"/model/layers.{layer_id}/moe"
            names = self.make_moe_expert_names(layer_id)
            self.make_moe_op(
                f"{basename}/MoE",
                root_input=root_input,
                router_probs=f"{basename}/router/Reshape/output_0",
                weight1=names["gate_up_weight"],
                bias1=names["gate_up_bias"],
                weight2=names["down_weight"],
                bias2=names["down_bias"],
            )
            self.layernorm_attrs["skip_input"] = f"{basename}/MoE/output_0"

    return Mixture
