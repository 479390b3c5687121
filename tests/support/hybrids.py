"""Tiny random models with recurrent states, one of each kind, as plain folders that open."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from nanoaccel.testing.tiny_models import sizes, write_tokenizer

CONTEXT = 1024
_SIZES = sizes(max_position_embeddings=CONTEXT)
# A convolution; a gated delta rule behind one, and one of finer gates; the scan of Mamba-2 behind
# one, and that of Mamba in a model that never looks back.
CONFIGS: dict[str, dict[str, Any]] = {
    "lfm2": {
        "layer_types": ["conv", "full_attention", "conv"],
        "block_auto_adjust_ff_dim": False,
        "block_ff_dim": 96,
    },
    "qwen3_5_text": {
        "head_dim": 16,
        "layer_types": ["linear_attention", "linear_attention", "full_attention"],
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "linear_conv_kernel_dim": 4,
    },
    "granitemoehybrid": {
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "attention_multiplier": 0.06,
        "shared_intermediate_size": 96,
        "layer_types": ["mamba", "attention", "mamba"],
        "mamba_n_heads": 8,
        "mamba_d_head": 16,
        "mamba_d_state": 16,
        "mamba_n_groups": 1,
        "mamba_chunk_size": 16,
    },
    "kimi_linear": {
        "layer_types": ["linear_attention", "full_attention", "linear_attention"],
        "mlp_layer_types": ["dense"] * 3,
        "linear_head_dim": 16,
        "linear_num_heads": 4,
        "num_key_value_heads": 4,
        "kv_lora_rank": 16,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 16,
    },
    "falcon_mamba": {"state_size": 16, "time_step_rank": 8, "initializer_range": 0.3},
}
# Those that OpenVINO does not page.
OF_ONNX = frozenset({"kimi_linear", "falcon_mamba"})


def make_model(kind: str, seed: int = 0, **more: Any) -> Any:
    """A random torch model, in f32."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **{**_SIZES, **CONFIGS[kind], **more})
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 1 and "A_log" not in name:  # they would test nothing as they begin
                weight.add_(0.1 * torch.randn_like(weight))
    return model


def write_bundle(folder: Path, kind: str, runtime: str = "openvino") -> Path:
    """The graph of a model for a runtime, and its tokenizer."""
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.targets.openvino.trace import trace

    with quiet():
        trace(make_model(kind), folder)
    write_tokenizer(folder)
    return folder if runtime == "openvino" else onnx_folder(folder)


def onnx_folder(traced: Path) -> Path:
    """A folder beside a traced graph's, with its ONNX graph; it opens as a builder's does."""
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.targets.onnx.build import build_graph

    folder = traced / "onnx"
    with quiet():
        graph = build_graph(traced / "openvino_model.xml", folder, CONTEXT)
    model = {"context_length": CONTEXT, "decoder": {"filename": graph.name}}
    (folder / "genai_config.json").write_text(json.dumps({"model": model}))
    shutil.copyfile(traced / "config.json", folder / "config.json")
    write_tokenizer(folder)
    return folder
