"""Exported for ONNX Runtime in f32, every architecture gives torch's logits and hidden states.

Families differ in what the translation must know: attention (windows, caps, sinks, shared keys,
latent keys), rotation (halves, pairs, a part, none), norms, experts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import tiny_configs

from nanoaccel.testing import tiny_models

pytest.importorskip("onnx_ir")
torch = pytest.importorskip("torch")

from support.onnx_models import OnnxModel  # noqa: E402

from nanoaccel.exporters.quantize.recipe import Recipe  # noqa: E402
from nanoaccel.exporters.targets.onnx.runner import OnnxRunner  # noqa: E402

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


# What each has that others have not.
MORE = {
    "gemma2": "soft caps of attention",
    "gemma3n_text": "shared keys, embeddings by layer, several streams",
    "gemma4_text": "shared keys, heads of two sizes",
    "glm4": "pairs of a part of a head",
    "cohere2": "one norm in front of two branches",
    "gpt_neox": "layer norms with biases, a part of a head",
    "glm4_moe": "experts chosen by sigmoids",
    "olmoe": "shares that do not sum to one",
    "deepseek_v3": "keys and values from latent states",
    "phi3 (longrope)": "factors that depend on the length",
    "bloom": "ALiBi",
    "falcon_h1": "attention and a scan side by side",
    "lfm2_moe": "convolutions, and experts",
    "mpt": "ALiBi, by the end of the longest text",
    "qwen3_next": "gated delta rules",
}


@pytest.mark.parametrize("name", MORE)
def test_onnx_graph_gives_torch_logits(name: str, tmp_path: Path) -> None:
    family = next(one for one in tiny_configs.families() if one.name == name)
    model = tiny_configs.make_model(family).float().eval()
    model.set_attn_implementation("eager")
    graph, _ = OnnxModel.make(tmp_path, model).export(tmp_path / "out", Recipe(weights="f32"))
    random = np.random.default_rng(0)
    batch = [random.integers(3, tiny_configs.VOCAB_SIZE, length) for length in (1, 300, 17)]
    (logits,) = OnnxRunner(graph).run(batch, ["logits"])
    with torch.inference_mode():
        expected = [model(torch.tensor(ids[None])).logits[0].numpy() for ids in batch]
    np.testing.assert_allclose(logits[0], np.concatenate(expected), atol=1e-3)


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
