"""The self-check: what is published gives, through the engine, what it was made from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanoaccel.bundle import Bundle
from nanoaccel.bundle.attention import WINDOWS
from nanoaccel.errors import ConfigError, ExportError, PromptTooLongError, UnsupportedModelError
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.runtime.backends.openvino import paged_graph
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.testing import tiny_models

pytestmark = pytest.mark.export

F32 = Recipe(weights="f32")
MATRIX = re.compile(r'element_type="f32" shape="\d+, \d+" offset="(\d+)" size="(\d+)"')
PLAIN = {
    "vocab_size": tiny_models.VOCAB_SIZE,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 2,
}


def _model(folder: Path, kind: str, patch: pytest.MonkeyPatch, **config: Any) -> Path:
    patch.setitem(tiny_models.CONFIGS, kind, {**PLAIN, **config})
    return tiny_models.write_model(folder / kind, kind)


def test_export_says_how_the_engine_was_checked(tiny_bundle: Path) -> None:
    manifest = Bundle.open(tiny_bundle).manifest
    assert manifest is not None
    found = manifest.self_check["openvino"]
    assert found["against"] == "the original"
    assert isinstance(found["difference"], float)
    assert found["difference"] < 1e-3
    assert json.loads((tiny_bundle / "nanoaccel.json").read_text())["schema_version"] == 3
    assert "| self-check, openvino | within" in (tiny_bundle / "report.md").read_text()
    seconds = json.loads((tiny_bundle / "report.json").read_text())["seconds"]
    assert seconds["check it through the engine, openvino"] > 0


@pytest.mark.parametrize("weights", ["bf16", "int4"])
def test_export_checks_both_runtimes(tmp_path: Path, tiny_model: Path, weights: Any) -> None:
    bundle = export(tiny_model, tmp_path / "out", recipe=Recipe(weights=weights), runtime="both")
    assert bundle.manifest is not None
    checks = bundle.manifest.self_check
    assert set(checks) == {"openvino", "onnx"}
    right = "the graph that was judged" if weights == "int4" else "the original"
    assert {found["against"] for found in checks.values()} == {right}


def test_export_does_not_publish_what_the_engine_computes_otherwise(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paged = paged_graph.paged_attention_transformation

    def with_a_window(model: Any, **options: Any) -> None:
        paged(model, **options)
        model.set_rt_info("40,40,40", WINDOWS)

    monkeypatch.setattr(paged_graph, "paged_attention_transformation", with_a_window)
    with pytest.raises(ExportError, match="does not give what the original gives"):
        export(tiny_model, tmp_path / "out", recipe=F32, runtime="openvino")
    assert list(tmp_path.iterdir()) == []


def test_export_does_not_publish_swapped_weights(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nanoaccel.exporters.targets.openvino.target import OpenVINOTarget

    build = OpenVINOTarget.build

    def damaged(*arguments: Any) -> Any:
        made = build(*arguments)
        weights = made.path.with_suffix(".bin")
        data = bytearray(weights.read_bytes())
        for place in MATRIX.findall(made.path.read_text()):
            offset, size = map(int, place)
            numbers = np.frombuffer(data, np.float32, size // 4, offset) * np.float32(1.02)
            data[offset : offset + size] = numbers.tobytes()
        weights.write_bytes(data)
        return made

    monkeypatch.setattr(OpenVINOTarget, "build", damaged)
    with pytest.raises(ExportError, match="engine"):
        export(tiny_model, tmp_path / "out", recipe=F32)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (
            "gpt_neo",
            {
                "hidden_size": 64,
                "num_layers": 2,
                "num_heads": 4,
                "attention_types": [[["global", "local"], 1]],
                "window_size": 40,
                "max_position_embeddings": 1024,
            },
        ),
        ("mpt", {"d_model": 64, "n_layers": 2, "n_heads": 4, "max_seq_len": 1024}),
        ("bloom", {"hidden_size": 96, "n_layer": 2, "n_head": 6, "seq_length": 1024}),
    ],
)
def test_export_keeps_windows_and_slopes_of_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, config: dict[str, Any]
) -> None:
    model = _model(tmp_path, kind, monkeypatch, **config)
    bundle = export(model, tmp_path / "out", recipe=F32, runtime="openvino")
    assert bundle.manifest is not None
    assert bundle.manifest.self_check["openvino"]["against"] == "the original"


@pytest.mark.parametrize(
    ("kind", "config", "named"),
    [
        (
            "falcon",
            {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": True},
            "alibi",
        ),
        ("gemma2", tiny_models.CONFIGS["gemma2"], "attn_logit_softcapping"),
        ("xglm", {"d_model": 64, "num_layers": 2, "attention_heads": 4, "ffn_dim": 96}, "paged"),
    ],
)
def test_export_runs_in_slots_what_openvino_does_not_page(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    config: dict[str, Any],
    named: str,
) -> None:
    config = {name: value for name, value in config.items() if "softcap" not in name}
    model = _model(tmp_path, kind, monkeypatch, **config)
    bundle = export(model, tmp_path / "out", recipe=F32, runtime="openvino")
    assert bundle.manifest is not None
    assert bundle.manifest.self_check["openvino"]["against"] == "the original"
    params = SamplingParams(max_tokens=40, temperature=0.0, ignore_eos=True)
    random = np.random.default_rng(0)
    prompts = [
        random.integers(3, tiny_models.VOCAB_SIZE, length).tolist()
        for length in (1, 50, 33, 150, 50)
    ]
    with LLM(tmp_path / "out", precision="f32") as llm:
        together = [output.token_ids for output in llm.generate(prompts, params)]
        alone = [llm.generate(prompt, params).token_ids for prompt in prompts]
    assert together == alone
    assert any("slowly" in note and named in note for note in caplog.messages)
    with pytest.raises(ConfigError, match=rf"cache_precision='u8' cannot be had.*{named}"):
        LLM(tmp_path / "out", cache_precision="u8")


def test_export_refuses_states_that_openvino_does_not_page_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _model(tmp_path, "mamba", monkeypatch, hidden_size=64, num_hidden_layers=2)
    with pytest.raises(UnsupportedModelError, match="finer than those that OpenVINO pages"):
        export(model, tmp_path / "out", recipe=F32, runtime="openvino")


def test_export_checks_short_texts_and_long_ones_of_longrope(tmp_path: Path) -> None:
    model = tiny_models.write_model(tmp_path / "phi3", "phi3", **tiny_models.LONGROPE)
    bundle = export(model, tmp_path / "out", recipe=F32, runtime="both")
    assert (bundle.context_length, bundle.context_note) == (tiny_models.CONTEXT, "")
    assert bundle.manifest is not None
    for found in bundle.manifest.self_check.values():
        assert found["against"] == "the original"
        assert found["tokens"] > 2 * tiny_models.BORDER


def test_export_ends_a_dynamic_context_where_its_rotation_changes(tmp_path: Path) -> None:
    rope = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    model = tiny_models.write_model(
        tmp_path / "llama", "llama", rope_parameters=rope, max_position_embeddings=64
    )
    bundle = export(model, tmp_path / "out", recipe=F32)
    assert bundle.context_length == 64
    assert "dynamic" in bundle.context_note
    with LLM(tmp_path / "out") as llm, pytest.raises(PromptTooLongError, match="dynamic"):
        llm.generate(list(range(3, 103)))
