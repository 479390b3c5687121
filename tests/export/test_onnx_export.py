"""The export for ONNX Runtime from end to end, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx_ir")

from nanoaccel.bundle import MANIFEST, Bundle, sha256_of
from nanoaccel.errors import BundleError, ConfigError, MissingExtraError
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.quantize import requirements
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.targets.onnx.runner import OnnxRunner
from nanoaccel.exporters.targets.openvino.runner import GraphRunner

pytestmark = pytest.mark.export

INT4 = Recipe(group_size=32)
ONNX = {
    "onnx/config.json",
    "onnx/model.onnx",
    "onnx/model.f32.onnx",
    "onnx/model.onnx.data",
}


@pytest.fixture(scope="module")
def both(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(tiny_model, tmp_path_factory.mktemp("both") / "b", recipe=INT4, runtime="both")


@pytest.fixture(scope="module")
def onnx(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(tiny_model, tmp_path_factory.mktemp("onnx") / "b", recipe=INT4, runtime="onnx")


def paths(bundle: Bundle) -> set[str]:
    assert bundle.manifest is not None
    return {entry.path for entry in bundle.manifest.files}


def test_export_for_both_has_a_graph_for_each(both: Bundle) -> None:
    both.verify()
    assert both.runtimes == ("openvino", "onnx")
    assert paths(both) > ONNX | {"openvino/openvino_model.xml"}
    tokens = np.arange(3, 40)
    found = OnnxRunner(both.graph_for("onnx")).logits(tokens)
    wanted = GraphRunner(both.graph_for("openvino")).logits(tokens)
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert both.manifest is not None
    (entry,) = both.manifest.also
    assert entry.validation["kl"] == pytest.approx(both.manifest.validation["kl"], rel=0.01)
    assert {"onnxruntime", "onnx-ir"} <= set(both.manifest.tools)
    assert len({both.graph_key(), both.graph_key("onnx")}) == 2


def test_export_for_both_reports_each(both: Bundle) -> None:
    report = json.loads((both.folder / "report.json").read_text())
    assert [graph["runtime"] for graph in report["graphs"]] == ["openvino", "onnx"]
    sizes = [graph["bytes"] for graph in report["graphs"]]
    assert sizes == [both.weights_of(name).stat().st_size for name in both.runtimes]
    assert report["graph_bytes"] == sizes[0]
    assert report["fidelity"] == report["graphs"][0]["fidelity"]
    page = (both.folder / "report.md").read_text()
    assert "| weights file, openvino |" in page
    assert "| weights file, onnx |" in page


def test_export_for_onnx_leaves_nothing_of_openvino(onnx: Bundle) -> None:
    onnx.verify()
    assert (onnx.runtime, onnx.runtimes) == ("onnx", ("onnx",))
    assert onnx.graph == onnx.folder / "onnx" / "model.onnx"
    assert {path for path in paths(onnx) if "/" in path} == ONNX
    assert "generation_config.json" in paths(onnx)
    assert json.loads((onnx.folder / MANIFEST).read_text())["schema_version"] == 3
    report = json.loads((onnx.folder / "report.json").read_text())
    assert "compare the ONNX graph" in report["seconds"]
    assert "compare with the original" not in report["seconds"]  # the other graph is not judged
    with pytest.raises(BundleError, match=r"no graph for 'openvino', only for onnx"):
        onnx.graph_for("openvino")


def test_export_for_onnx_gives_the_same_bytes_twice(both: Bundle, onnx: Bundle) -> None:
    for name in ONNX:
        assert sha256_of(both.folder / name) == sha256_of(onnx.folder / name), name


def test_export_for_auto_is_a_bundle(tiny_model: Path, tmp_path: Path) -> None:
    made = export(tiny_model, tmp_path / "b", recipe=Recipe(weights="f32"), runtime="auto")
    assert set(made.runtimes) <= {"openvino", "onnx"}
    assert not (made.folder / "captured").exists()


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe(weights="fp4"), "'fp4' do not go with .*f32, f16, bf16, int8, int4, nf4"),
        (Recipe(weights="nf4", embeddings="same"), "embeddings='same' do not go with"),
        (Recipe(methods=("lora-correction",)), "'lora-correction' does not go"),
    ],
)
def test_export_for_onnx_refuses_what_it_cannot_compute_with(
    tiny_model: Path, tmp_path: Path, recipe: Recipe, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        export(tiny_model, tmp_path / "b", recipe=recipe, runtime="onnx")


def test_export_for_an_unknown_runtime_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"runtime='onyx' is unknown.*onnx"):
        export(tiny_model, tmp_path / "b", runtime="onyx")


def test_export_for_onnx_without_its_packages_says_how_to_get_them(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "find_spec", lambda name: None if name == "onnx_ir" else name)
    with pytest.raises(MissingExtraError, match=r"needs onnx_ir.*nanoaccel\[export\]"):
        export(tiny_model, tmp_path / "b", runtime="onnx")
