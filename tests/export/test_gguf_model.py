"""Models read from GGUF files: exact, or refused by the name of what is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.gguf_files import llama3_factors, write_gguf

from nanoaccel.testing import tiny_models

torch = pytest.importorskip("torch")
pytest.importorskip("gguf")

from nanoaccel.errors import GGUFError, UnsupportedModelError  # noqa: E402
from nanoaccel.exporters.source.gguf import build_config, load_gguf, read_metadata  # noqa: E402

pytestmark = pytest.mark.export

_THETA = {"rope_theta": 10000.0}
_LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
    **_THETA,
}
_YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 256,
    "beta_fast": 16.0,
    **_THETA,
}
_CAPPED = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 3.0, "sliding_window": 48}
_CAPS = {
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 3.0,
    "attention.sliding_window": 48,
}
_GRANITE = {
    "attention.scale": 0.06,
    "logit_scale": 2.0,
    "residual_scale": 0.5,
    "embedding_scale": 3.0,
}
_LINEAR = {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}
_YARNED = {
    "rope.scaling.type": "yarn",
    "rope.scaling.factor": 4.0,
    "rope.scaling.original_context_length": 256,
    "rope.scaling.yarn_beta_fast": 16.0,
}
_FACTORS = {"rope_freqs.weight": llama3_factors(16, 10000.0, 32.0, 1.0, 4.0, 128)}
_LONG = {
    "rope_factors_long.weight": np.linspace(1, 9, 8, dtype=np.float32),
    "rope_factors_short.weight": np.linspace(1, 2, 8, dtype=np.float32),
}
_LONGROPE = {
    "rope_type": "longrope",
    "long_factor": _LONG["rope_factors_long.weight"].tolist(),
    "short_factor": _LONG["rope_factors_short.weight"].tolist(),
    "attention_factor": 1.25,
    "original_max_position_embeddings": 64,
    **_THETA,
}
_LONGROPED = {"rope.scaling.attn_factor": 1.25, "rope.scaling.original_context_length": 64}

# Architecture of the file, model of transformers, its options, keys of the file, its tensors.
_CASES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "llama": ("llama", "llama", {}, {}, {}),
    "tied": ("llama", "llama", {"tie_word_embeddings": True}, {}, {}),
    "wide heads": ("llama", "llama", {"head_dim": 32}, {}, {}),
    "biases": ("llama", "llama", {"attention_bias": True, "mlp_bias": True}, {}, {}),
    "mistral": ("llama", "mistral", {"sliding_window": 48}, {"attention.sliding_window": 48}, {}),
    "rope_freqs": ("llama", "llama", {"rope_parameters": _LLAMA3}, {}, _FACTORS),
    "linear": ("llama", "llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0}
                                  | _THETA}, _LINEAR, {}),
    "base": ("qwen2", "qwen2", {"rope_parameters": {"rope_theta": 5e5}}, {}, {}),
    "yarn": ("qwen2", "qwen2", {"rope_parameters": _YARN}, _YARNED, {}),
    "yarn attention": ("qwen3", "qwen3", {"rope_parameters": _YARN | {"attention_factor":
                       1.5 * (0.1 * np.log(4.0) + 1)}}, _YARNED | {"rope.scaling.attn_factor": 1.5},
                       {}),
    "qwen3": ("qwen3", "qwen3", {}, {}, {}),
    "gemma": ("gemma", "gemma", {"head_dim": 32}, {}, {}),
    "gemma2": ("gemma2", "gemma2", _CAPPED, _CAPS, {}),
    "gemma3": ("gemma3", "gemma3_text", {"sliding_window": 48, "num_hidden_layers": 7},
               {"attention.sliding_window": 48}, {}),
    "phi3": ("phi3", "phi3", {"sliding_window": 48}, {"attention.sliding_window": 48}, {}),
    "longrope": ("phi3", "phi3", {"rope_parameters": _LONGROPE,
                 "original_max_position_embeddings": 64}, _LONGROPED, _LONG),
    "granite": ("granite", "granite", {"attention_multiplier": 0.06, "logits_scaling": 2.0,
                "residual_multiplier": 0.5, "embedding_multiplier": 3.0}, _GRANITE, {}),
    "smollm3": ("smollm3", "smollm3", {"num_hidden_layers": 5}, {}, {}),
    "olmo2": ("olmo2", "olmo2", {}, {}, {}),
}  # fmt: skip


def make(kind: str, **options: Any) -> Any:
    if kind == "gemma":
        tiny_models.CONFIGS.setdefault("gemma", tiny_models.CONFIGS["llama"])
    return tiny_models.make_model(kind, **options)


def load(path: Path) -> Any:
    return load_gguf(read_metadata(path), torch.float32).eval()


def logits(model: Any) -> Any:
    ids = torch.arange(300).reshape(2, 150) % tiny_models.VOCAB_SIZE
    with torch.inference_mode():
        return model(ids).logits


@pytest.mark.parametrize("name", _CASES)
def test_load_gguf_gives_the_original_logits(name: str, tmp_path: Path) -> None:
    architecture, kind, options, fields, tensors = _CASES[name]
    model = make(kind, **options)
    path = write_gguf(tmp_path / "m.gguf", model, architecture, fields=fields, tensors=tensors)
    wanted, got = logits(model), logits(load(path))
    assert (got - wanted).abs().max() < 1e-4 * wanted.abs().max().clamp(min=1)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "F16"])
def test_load_gguf_reads_what_the_file_stores(kind: str, tmp_path: Path) -> None:
    import gguf

    model = make("qwen2")
    path = write_gguf(tmp_path / "m.gguf", model, "qwen2", kind=kind)
    number = gguf.GGMLQuantizationType[kind]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                stored = gguf.dequantize(gguf.quantize(parameter.numpy(), number), number)
                parameter.copy_(torch.from_numpy(stored.reshape(parameter.shape)))
    assert torch.equal(logits(load(path)), logits(model))


def test_read_metadata_reads_every_part_whichever_is_named(tmp_path: Path) -> None:
    model = make("llama")
    write_gguf(tmp_path / "m.gguf", model, "llama", split=8)
    parts = sorted(tmp_path.glob("m-*.gguf"))
    assert len(parts) > 2
    for part in (parts[0], parts[-1]):
        assert torch.equal(logits(load(part)), logits(model))
    parts[1].unlink()
    with pytest.raises(GGUFError, match=rf"{parts[1].name} is missing"):
        read_metadata(parts[0])


def test_read_metadata_refuses_a_part_under_another_name(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", make("llama"), "llama", split=8)
    first = min(tmp_path.glob("m-*.gguf")).rename(tmp_path / "alone.gguf")
    with pytest.raises(GGUFError, match=r"alone\.gguf says that it is part 1 of"):
        read_metadata(first)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("expert_count", 4),
        ("logit_scale", 2.0),
        ("attention.scale", 0.5),
        ("attn_logit_softcapping", 50.0),
        ("final_logit_softcapping", 30.0),
        ("rope.dimension_count", 8),
        ("rope.scaling.type", "dynamic"),
        ("rope.scaling.attn_factor", 1.5),
        ("attention.value_length", 8),
        ("something.new", 1),
        ("other.key", 1),
    ],
)
def test_build_config_refuses_keys_by_name(key: str, value: object, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", make("llama"), "llama", fields={key: value})
    with pytest.raises(UnsupportedModelError, match=key.replace(".", r"\.")):
        build_config(read_metadata(path))


def test_build_config_takes_values_that_change_nothing(tmp_path: Path) -> None:
    fields = {"expert_count": 0, "logit_scale": 1.0, "general.anything": "x"}
    path = write_gguf(tmp_path / "m.gguf", make("llama"), "llama", fields=fields)
    assert build_config(read_metadata(path)).model_type == "llama"


def test_build_config_refuses_other_architectures_by_name(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", make("llama"), "qwen3moe")
    with pytest.raises(UnsupportedModelError, match="qwen3moe"):
        build_config(read_metadata(path))


def test_build_config_refuses_rope_freqs_of_another_scaling(tmp_path: Path) -> None:
    tensors = {"rope_freqs.weight": np.array([1, 5, 2, 7, 1, 3, 1, 2], np.float32)}
    path = write_gguf(tmp_path / "m.gguf", make("llama"), "llama", tensors=tensors)
    with pytest.raises(UnsupportedModelError, match=r"rope_freqs\.weight"):
        build_config(read_metadata(path))


def test_load_gguf_refuses_unknown_and_missing_tensors(tmp_path: Path) -> None:
    model = make("llama")
    more = {"blk.0.attn_sinks.weight": np.zeros(4, np.float32)}
    path = write_gguf(tmp_path / "more.gguf", model, "llama", tensors=more)
    with pytest.raises(UnsupportedModelError, match=r"blk\.0\.attn_sinks\.weight"):
        load(path)
    path = write_gguf(tmp_path / "less.gguf", model, "llama", without=("blk.1.ffn_up.weight",))
    with pytest.raises(GGUFError, match=r"less\.gguf lacks 1 tensors.*layers\.1\.mlp\.up_proj"):
        load(path)
    path = write_gguf(tmp_path / "deep.gguf", model, "llama", fields={"block_count": 2})
    with pytest.raises(UnsupportedModelError, match=r"blk\.2\."):
        load(path)


def test_load_gguf_refuses_other_shapes(tmp_path: Path) -> None:
    path = write_gguf(
        tmp_path / "m.gguf", make("llama"), "llama", fields={"feed_forward_length": 128}
    )
    with pytest.raises(GGUFError, match=r"ffn_\w+\.weight of shape"):
        load(path)


def test_load_gguf_keeps_the_recommended_sampling(tmp_path: Path) -> None:
    fields = {"general.sampling.temp": 0.6, "general.sampling.top_k": 20}
    path = write_gguf(tmp_path / "m.gguf", make("llama"), "llama", fields=fields)
    generation = load(path).generation_config
    assert (generation.do_sample, generation.temperature, generation.top_k) == (True, 0.6, 20)
