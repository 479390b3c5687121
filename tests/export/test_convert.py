"""Real conversions of a tiny Llama, each way that there is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanoaccel import LLM, SamplingParams
from nanoaccel.bundle import MANIFEST, Bundle
from nanoaccel.errors import (
    BundleDamagedError,
    ConfigError,
    ExportError,
    SourceError,
    UnsupportedModelError,
)
from nanoaccel.exporters.convert.recovered import recover
from nanoaccel.exporters.convert.request import Converted, ConvertOptions
from nanoaccel.exporters.convert.ways import WAYS, Way, convert
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.source.gguf import load_gguf, read_metadata
from nanoaccel.testing import tiny_models

pytestmark = pytest.mark.export
PROMPT = "The tide comes in"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that tests hide and show again."""
    return tiny_models.write_model(tmp_path_factory.mktemp("convert") / "model")


@pytest.fixture(scope="session")
def made(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of it in int4, for OpenVINO."""
    out = tmp_path_factory.mktemp("convert") / "bundle"
    recipe = Recipe(weights="int4", group_size=32)
    export(model, out, recipe=recipe, judge_tokens=512, runtime="openvino")
    return out


@pytest.fixture
def alone(made: Path, tmp_path: Path) -> Path:
    """The bundle where its original is not known."""
    folder = Path(shutil.copytree(made, tmp_path / "alone"))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["source"]["id"] = "org/gone"
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def run(source: Path, out: Path, to: str | None = None, **options: Any) -> Converted:
    return convert(source, out, to=to, options=ConvertOptions(**options))


def text_of(bundle: Path, backend: str = "auto") -> list[int]:
    with LLM(bundle, backend=backend, speculation="off", precision="f32") as llm:
        return list(llm.generate(PROMPT, SamplingParams(max_tokens=12)).token_ids)


def test_bundle_for_another_runtime_keeps_its_codes(alone: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    run(alone, both, runtime="both")
    bundle = Bundle.open(both)
    bundle.verify()
    assert bundle.runtimes == ("openvino", "onnx")
    assert bundle.manifest is not None
    assert set(bundle.manifest.self_check) == {"openvino", "onnx"}
    assert bundle.fingerprint() == Bundle.open(alone).fingerprint()
    weights = "openvino/openvino_model.bin"
    assert (both / weights).read_bytes() == (alone / weights).read_bytes()
    assert text_of(both, "onnx") == text_of(both, "openvino") == text_of(alone)
    only = tmp_path / "only"
    run(both, only, runtime="onnx")
    assert Bundle.open(only).runtimes == ("onnx",)
    assert not (only / "openvino").exists()
    assert text_of(only) == text_of(both, "onnx")
    with pytest.raises(UnsupportedModelError, match=r"original \(org/gone\) is not here"):
        run(only, tmp_path / "back", runtime="openvino")
    assert not (tmp_path / "back").exists()


def test_bundle_by_another_recipe_is_made_of_its_original(
    made: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    told = run(made, out, recipe=Recipe(weights="f32"), judge_tokens=512)
    assert f"made of its original, {model}" in told.how
    assert json.loads((out / "report.json").read_text())["fidelity"]["top1_agreement"] == 1.0


def test_bundle_by_another_recipe_without_its_original(alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = run(alone, out, recipe=Recipe(weights="f32"), judge_tokens=512)
    assert "what those lost stays lost" in told.notes[0]
    bundle = Bundle.open(out)
    bundle.verify()
    assert bundle.manifest is not None
    assert bundle.manifest.source["id"] == "org/gone"
    assert bundle.manifest.source["weights"] == "int4 symmetric, groups of 32"
    assert bundle.fingerprint() == Bundle.open(alone).fingerprint()
    assert "stays lost" in json.loads((out / "report.json").read_text())["note"]
    before, after = (
        recover(folder / "openvino" / "openvino_model.xml").model for folder in (alone, out)
    )
    for name, parameter in before.named_parameters():
        assert parameter.equal(after.get_parameter(name)), name
    assert len(text_of(out)) == 12


def test_original_that_is_another_model_is_refused(made: Path, tmp_path: Path) -> None:
    other = tiny_models.write_model(tmp_path / "other", num_hidden_layers=2)
    with pytest.raises(SourceError, match="is not what the bundle was made from"):
        run(made, tmp_path / "out", recipe=Recipe(weights="int8"), original=str(other))


def test_bundle_to_gguf_copies_its_codes(alone: Path, tmp_path: Path) -> None:
    import torch

    out = tmp_path / "model.gguf"
    told = run(alone, out)
    assert "21 q4_0" in told.how
    assert "23 with the very same numbers" in told.how
    assert told.notes == ()
    written = load_gguf(read_metadata(out), torch.float32)
    own = recover(alone / "openvino" / "openvino_model.xml").model
    for name, parameter in own.named_parameters():
        assert torch.equal(parameter, written.get_parameter(name)), name


def test_model_to_gguf_is_what_llama_cpp_reads(model: Path, tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = tmp_path / "model.gguf"
    run(model, out, gguf_type="f32")
    opened = llama_cpp.Llama(str(out), n_ctx=128, n_threads=1, verbose=False)
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        ids = tokenizer.encode(PROMPT)
        assert opened.tokenize(PROMPT.encode(), add_bos=True, special=True) == ids
        assert opened.metadata["tokenizer.chat_template"] == tiny_models.CHAT_TEMPLATE
        own = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        known = list(ids)
        with torch.inference_mode():
            for _ in range(12):
                known.append(int(own(torch.tensor([known])).logits[0, -1].argmax()))
        given = opened.generate(ids, top_k=1, temp=0.0)
        assert [next(given) for _ in range(12)] == known[len(ids) :]
    finally:
        opened.close()


def test_folder_of_optimum_there_and_back(alone: Path, tmp_path: Path) -> None:
    folder, back = tmp_path / "optimum", tmp_path / "back"
    run(alone, folder, to="optimum")
    assert Bundle.open(folder).manifest is None
    assert (folder / "tokenizer.json").is_file()
    run(folder, back)
    bundle = Bundle.open(back)
    bundle.verify()
    assert bundle.runtimes == ("openvino",)
    assert bundle.weight_group_size == 32
    assert text_of(back) == text_of(folder) == text_of(alone)
    gguf = tmp_path / "optimum.gguf"
    assert "21 q4_0" in run(folder, gguf).how


def test_recovered_model_of_a_damaged_graph_is_refused(alone: Path) -> None:
    config = alone / "openvino" / "config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "rms_norm_eps": 0.5}))
    with pytest.raises(ExportError, match="differs from the graph by"):
        recover(alone / "openvino" / "openvino_model.xml")


def test_what_stands_at_the_output_is_kept(made: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "letter").write_text("dear")
    with pytest.raises(ExportError, match="it is no bundle"):
        run(made, out, to="optimum", overwrite=True)
    file = tmp_path / "model.gguf"
    file.write_text("dear")
    with pytest.raises(ExportError, match="another kind of file"):
        run(model, file, overwrite=True)
    file.write_bytes(b"GGUF")
    with pytest.raises(ExportError, match="--overwrite"):
        run(model, file)
    run(model, file, overwrite=True)
    assert file.stat().st_size > 4
    assert {path.name for path in tmp_path.iterdir()} == {"out", "model.gguf"}


def test_damaged_bundle_is_refused(alone: Path, tmp_path: Path) -> None:
    weights = alone / "openvino" / "openvino_model.bin"
    content = np.fromfile(weights, np.uint8)
    content[100] ^= 1
    content.tofile(weights)
    for out, to in (("a.gguf", "gguf"), ("b", "optimum"), ("c", "bundle")):
        with pytest.raises(BundleDamagedError, match="was altered"):
            run(alone, tmp_path / out, to=to)
        assert not (tmp_path / out).exists()


def test_interrupted_conversion_leaves_nothing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nanoaccel.exporters.convert.gguf.write.check_config", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(model, tmp_path / "model.gguf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "to", "options", "error", "told"),
    [
        ("x.gguf", None, {"runtime": "onnx"}, ConfigError, "--runtime means nothing"),
        ("x.gguf", None, {"gguf_type": "q5_0"}, ConfigError, "'q5_0' is unknown"),
        ("x", None, {"gguf_type": "q8_0"}, ConfigError, "--gguf-type means nothing"),
        ("x", None, {}, ConfigError, "is for openvino already"),
        ("x", "gguf", {}, ConfigError, "Give it a file's name that ends in .gguf"),
        ("x", "optimumm", {}, ConfigError, "'optimumm' is unknown"),
        ("x", "genai", {}, UnsupportedModelError, "runs the graphs of its own builder alone"),
        ("x", "model", {}, UnsupportedModelError, "From bundle there are: bundle, gguf, optimum"),
    ],
)
def test_conversion_that_is_impossible(
    out: str,
    to: str | None,
    options: dict[str, Any],
    error: type[Exception],
    told: str,
    made: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=told):
        run(made, tmp_path / out, to=to, **options)
    assert list(tmp_path.iterdir()) == []


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError, match=r"holds none of nanoaccel\.json"):
        run(tmp_path / "folder", tmp_path / "out")


def test_functions_of_all_ways_are_there() -> None:
    from importlib import import_module

    for way in WAYS.values():
        if isinstance(way, Way):
            module, _, name = way.function.partition(":")
            assert callable(getattr(import_module(f"nanoaccel.exporters.convert.{module}"), name))
