"""The export from end to end, on tiny models."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nanoaccel.bundle import MANIFEST, Bundle
from nanoaccel.errors import MissingExtraError, SourceError, UnsupportedModelError
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.progress import StageEvent
from nanoaccel.exporters.quantize import requirements
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.testing import tiny_models

pytestmark = pytest.mark.export

SHORT = SamplingParams(max_tokens=8, ignore_eos=True)


@pytest.fixture(scope="module")
def events() -> list[StageEvent]:
    return []


@pytest.fixture(scope="module")
def int4_bundle(
    tiny_model: Path, tmp_path_factory: pytest.TempPathFactory, events: list[StageEvent]
) -> Path:
    out = tmp_path_factory.mktemp("int4") / "bundle"
    export(
        tiny_model, out, recipe=Recipe(group_size=32), listener=events.append, runtime="openvino"
    )
    return out


def test_export_makes_a_bundle_that_writes(int4_bundle: Path) -> None:
    with LLM(int4_bundle) as llm:
        assert llm.generate("The tide", SHORT).finish_reason == "length"


def test_export_manifest_tells_what_was_done(int4_bundle: Path, tiny_model: Path) -> None:
    opened = Bundle.open(int4_bundle)
    opened.verify()
    manifest = opened.manifest
    assert manifest is not None
    content = manifest.source["content"]
    assert manifest.source == {"id": str(tiny_model), "revision": None, "content": content}
    assert content is not None
    assert len(content) == 64
    assert manifest.recipe == {"weights": "int4", "symmetric": True, "group_size": 32}
    assert manifest.target.architecture == "llama"
    assert manifest.target.context_length == tiny_models.CONTEXT
    assert manifest.target.weight_group_size == 32
    assert 0 < manifest.validation["kl"] < 5
    assert {"openvino", "nncf", "torch", "transformers"} <= set(manifest.tools)


def test_export_reports_size_fidelity_and_effort(int4_bundle: Path) -> None:
    report = json.loads((int4_bundle / "report.json").read_text())
    assert set(report["weights"]["parameters"]) == {"i4", "i8"}
    assert 4 < report["bits_per_weight"] < 12
    assert report["fused_projections"] == 6
    assert report["peak_memory"] > 10**8
    assert "KL to the original" in (int4_bundle / "report.md").read_text()


def test_export_tells_of_each_stage(int4_bundle: Path, events: list[StageEvent]) -> None:
    assert int4_bundle.exists()
    stages = list(dict.fromkeys(event.stage for event in events))
    for stage in stages:
        *before, last = [event.seconds for event in events if event.stage == stage]
        assert before
        assert set(before) == {None}
        assert last is not None
    assert stages[0] == "find the model"
    assert stages[-1] == "write the bundle"
    assert all(event.memory > 0 for event in events)


def test_export_prints_nothing_of_its_own(tiny_model: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from nanoaccel.exporters.pipeline import export;"
        "export(sys.argv[1], sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(tiny_model), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_export_opens_in_openvino_genai(int4_bundle: Path) -> None:
    genai = pytest.importorskip("openvino_genai")
    pipe = genai.LLMPipeline(str(int4_bundle / "openvino"), "CPU")
    config = genai.GenerationConfig(max_new_tokens=8, ignore_eos=True, apply_chat_template=False)
    theirs = pipe.generate("The tide comes in", config)
    with LLM(int4_bundle) as llm:
        ours = llm.generate("The tide comes in", SHORT).text
    assert isinstance(theirs, str)
    assert theirs[:3] == ours[:3]


@pytest.mark.parametrize("weights", ["bf16", "f16", "int8"])
def test_export_of_each_weight_type_stays_near_the_original(
    tiny_model: Path, tmp_path: Path, weights: str
) -> None:
    bundle = export(
        tiny_model, tmp_path / "out", recipe=Recipe(weights=weights), runtime="openvino"
    )  # type: ignore[arg-type]
    assert bundle.manifest is not None
    assert bundle.manifest.validation["kl"] < 0.05
    sizes = {entry.path: entry.size for entry in bundle.manifest.files}
    original = (tiny_model / "model.safetensors").stat().st_size
    assert sizes["openvino/openvino_model.bin"] < 0.7 * original


def test_export_of_untied_bf16_weights_keeps_their_precision(tmp_path: Path) -> None:
    import torch

    source = tmp_path / "model"
    tiny_models.write_tokenizer(source)
    tiny_models.make_model("qwen2").to(torch.bfloat16).save_pretrained(source)
    bundle = export(
        source, tmp_path / "out", recipe=Recipe(weights="int8", symmetric=False), runtime="openvino"
    )
    assert bundle.manifest is not None
    assert bundle.manifest.validation["kl"] < 0.05


def test_export_for_both_runtimes_measures_within_a_short_context(tmp_path: Path) -> None:
    model = tiny_models.write_model(tmp_path / "model", max_position_embeddings=70)
    bundle = export(model, tmp_path / "out", recipe=Recipe(weights="f32"), judge_tokens=64)
    assert bundle.context_length == 70
    with LLM(bundle.folder) as llm:
        assert llm.generate([5] * 60, SHORT).finish_reason == "length"


def test_export_killed_leaves_nothing_at_the_target(tiny_model: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from nanoaccel.exporters.pipeline import export;"
        "export(sys.argv[1], sys.argv[2], listener=lambda e: print(e.stage, flush=True))"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-c", code, str(tiny_model), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("trace"):
                break
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
    assert not out.exists()
    export(tiny_model, out, runtime="openvino")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_export_refuses_weights_that_are_not_numbers(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    source = shutil.copytree(tiny_model, tmp_path / "model")
    weights = load_file(source / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], float("nan"))
    save_file(weights, source / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SourceError, match=r"weights of model\.norm\.weight are not all numbers"):
        export(source, tmp_path / "out", runtime="openvino")
    assert not (tmp_path / "out").exists()


def test_export_refuses_a_truncated_checkpoint(tiny_model: Path, tmp_path: Path) -> None:
    source = shutil.copytree(tiny_model, tmp_path / "model")
    weights = source / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(SourceError, match="it has 5000 bytes"):
        export(source, tmp_path / "out", runtime="openvino")


@pytest.mark.parametrize("kind", ["vit", "t5"])
def test_export_refuses_what_is_not_a_text_decoder(
    tiny_model: Path, tmp_path: Path, kind: str
) -> None:
    source = shutil.copytree(tiny_model, tmp_path / "model")
    (source / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(UnsupportedModelError, match=f"'{kind}' is not a text decoder"):
        export(source, tmp_path / "out", runtime="openvino")


def test_export_of_an_unknown_type_asks_for_a_newer_transformers(
    tiny_model: Path, tmp_path: Path
) -> None:
    source = shutil.copytree(tiny_model, tmp_path / "model")
    (source / "config.json").write_text('{"model_type": "of_next_year"}')
    with pytest.raises(UnsupportedModelError, match=r"does not know 'of_next_year'.*--upgrade"):
        export(source, tmp_path / "out", runtime="openvino")


def test_export_without_its_extra_says_how_to_get_it(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "find_spec", lambda name: None if name == "nncf" else name)
    with pytest.raises(MissingExtraError, match=r"needs nncf.*nanoaccel\[export\]"):
        export(tiny_model, tmp_path / "out", runtime="openvino")


def test_export_of_a_model_with_a_plain_tokenizer_has_no_chat_template(tmp_path: Path) -> None:
    source = tiny_models.write_model(tmp_path / "model")
    (source / "chat_template.jinja").unlink()
    export(source, tmp_path / "out", recipe=Recipe(weights="f32"), runtime="openvino")
    assert (tmp_path / "out" / MANIFEST).is_file()
    with LLM(tmp_path / "out") as llm:
        assert not llm.tokenizer.has_chat_template
        ids = list(np.array([5, 6, 7]))
        assert len(llm.generate(ids, SHORT).token_ids) == 8
