"""Exported for ONNX Runtime in f32, every architecture gives torch's logits and hidden states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import tiny_models

pytest.importorskip("onnxruntime_genai")
torch = pytest.importorskip("torch")

from support.onnx_models import OnnxModel  # noqa: E402

from nanoaccel.errors import UnsupportedModelError  # noqa: E402
from nanoaccel.exporters.quantize.recipe import Recipe  # noqa: E402
from nanoaccel.exporters.targets.onnx.runner import OnnxRunner  # noqa: E402
from nanoaccel.exporters.targets.onnx.support import (  # noqa: E402
    builder_architectures,
    check_architecture,
)

pytestmark = pytest.mark.export

LENGTHS = (1, 130, 17, 64)
ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"tie_word_embeddings": True, "rope_parameters": ROPE}),
    "mistral": ("mistral", {"sliding_window": 64}),
    "qwen2": ("qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    "yarn": ("qwen2", {"max_position_embeddings": 64, "rope_parameters": YARN}),
    "qwen3": ("qwen3", {}),
    "gemma3": ("gemma3_text", {"hidden_size": 96}),
    "phi3": ("phi3", {}),
    "granite": ("granite", {}),
    "smollm3": ("smollm3", {}),
    "olmo": ("olmo", {}),
    "mixtral": ("mixtral", {}),
    "qwen3_moe": ("qwen3_moe", {}),
    "gpt_oss": ("gpt_oss", {"rope_parameters": {**YARN, "truncate": False}}),
}


@pytest.mark.parametrize("name", KINDS)
def test_onnx_graph_gives_torch_logits_and_hidden_states(name: str, tmp_path: Path) -> None:
    kind, more = KINDS[name]
    model = tiny_models.make_model(kind, **more)
    check_architecture(model.config)
    graph, _ = OnnxModel.make(tmp_path, model).export(tmp_path / "out", Recipe(weights="f32"))
    random = np.random.default_rng(0)
    batch = [random.integers(3, tiny_models.VOCAB_SIZE, length) for length in LENGTHS]
    layers = range(model.config.num_hidden_layers)
    hidden = [f"hidden.{layer}" for layer in layers]
    logits, *states = OnnxRunner(graph).run(batch, ["logits", *hidden])
    expected, seen = torch_run(model, batch)
    np.testing.assert_allclose(logits[0], expected, atol=1e-3)
    for layer in layers:
        np.testing.assert_allclose(states[layer][0], seen[layer], atol=2e-3)


def torch_run(model: Any, batch: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Logits, and what each layer gives, of all tokens of all sequences."""
    logits: list[np.ndarray] = []
    seen: dict[int, list[np.ndarray]] = {}

    def note(place: int, output: Any) -> None:
        states = output[0] if isinstance(output, tuple) else output
        seen.setdefault(place, []).append(states.reshape(-1, states.shape[-1]).numpy())

    for place, layer in enumerate(model.get_decoder().layers):
        layer.register_forward_hook(lambda _, __, output, at=place: note(at, output))
    with torch.inference_mode():
        for ids in batch:
            logits.append(model(torch.tensor(ids[None])).logits[0].numpy())
    return np.concatenate(logits), [np.concatenate(seen[place]) for place in sorted(seen)]


def test_builder_architectures_are_read_from_its_source() -> None:
    assert {"LlamaForCausalLM", "Qwen3ForCausalLM", "OlmoForCausalLM"} <= builder_architectures()


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        ("gpt2", {}, r"builder has no 'gpt2', only .*llama, mistral.*--runtime openvino"),
        ("lfm2", {"layer_types": ["conv", "full_attention"]}, r"another kind .*\(conv\)"),
        ("olmo", {"clip_qkv": 8.0}, "clip_qkv"),
        ("gemma2", {}, "attn_logit_softcapping"),
        (
            "granitemoehybrid",
            {"num_local_experts": 4, "layer_types": []},
            "its experts are none of",
        ),
        ("qwen3_moe", {"norm_topk_prob": False}, "norm_topk_prob"),
        ("qwen3_moe", {"norm_topk_prob": True, "mlp_only_layers": [0]}, "mlp_only_layers"),
        ("mixtral", {"hidden_act": "gelu"}, "gated by 'gelu'"),
        (
            "phi3",
            {"rope_parameters": {"rope_type": "proportional", "rope_theta": 1e4}},
            "rotary embedding is 'proportional'",
        ),
    ],
)
def test_onnx_export_refuses_what_cannot_be_packed(
    kind: str, more: dict[str, Any], message: str
) -> None:
    from transformers import AutoConfig

    config = AutoConfig.for_model(kind)
    for name, value in more.items():
        setattr(config, name, value)
    with pytest.raises(UnsupportedModelError, match=message):
        check_architecture(config)
