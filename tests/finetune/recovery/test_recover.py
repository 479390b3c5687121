"""A recovery of a tiny model's bundle, from the bundle to a better one of the same size."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanoaccel.testing import tiny_models

torch = pytest.importorskip("torch")

from nanoaccel import LLM, SamplingParams  # noqa: E402
from nanoaccel.bundle import MANIFEST  # noqa: E402
from nanoaccel.errors import (  # noqa: E402
    ConfigError,
    ExportError,
    SourceError,
    UnsupportedModelError,
)
from nanoaccel.exporters.pipeline import export  # noqa: E402
from nanoaccel.exporters.quantize.recipe import Recipe  # noqa: E402
from nanoaccel.exporters.targets.onnx.stored import StoredWeight  # noqa: E402
from nanoaccel.finetune.recovery.graphs.onnx_graph import OnnxGraph  # noqa: E402
from nanoaccel.finetune.recovery.graphs.openvino_graph import OpenVINOGraph  # noqa: E402
from nanoaccel.finetune.recovery.graphs.stored_graph import StoredGraph  # noqa: E402
from nanoaccel.finetune.recovery.learning import learner  # noqa: E402
from nanoaccel.finetune.recovery.options import RecoveryOptions, teaching_options  # noqa: E402
from nanoaccel.finetune.recovery.run import Recovered, recover  # noqa: E402

pytestmark = pytest.mark.export

INT4 = Recipe(weights="int4", symmetric=False, group_size=32)
# Wide enough that all numbers of a matrix lie in the file of weights.
SIZES: dict[str, Any] = {
    "initializer_range": 0.1,
    "hidden_size": 160,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
}
OPTIONS = RecoveryOptions(minutes=0.5, text=teaching_options(length=128), judge_tokens=512)


class Ticks:
    """A clock that goes on by itself: as many passes everywhere."""

    def __init__(self, seconds: float) -> None:
        self._now, self._step = 0.0, seconds

    def __call__(self) -> float:
        self._now += self._step
        return self._now


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that tests hide and show again."""
    folder = tmp_path_factory.mktemp("recovery") / "model"
    return tiny_models.write_model(folder, **SIZES)


@pytest.fixture(scope="module")
def made(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of it in int4, for both runtimes."""
    out = tmp_path_factory.mktemp("recovery") / "bundle"
    export(model, out, recipe=INT4, judge_tokens=512, runtime="both")
    return out


@pytest.fixture(scope="module", autouse=True)
def long_steps() -> Iterator[None]:
    """Steps that change a model in twenty passes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner, "Rates", partial(learner.Rates, scales=5e-3, zeros=0.05))
        patch.setattr(learner, "PASS_TOKENS", 256)
        yield


def run(bundle: Path, out: Path | None = None, **more: Any) -> Recovered:
    return recover(bundle, out, options=more.pop("options", OPTIONS), clock=Ticks(0.3), **more)


@pytest.fixture(scope="module")
def recovered(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Recovered:
    return run(made, tmp_path_factory.mktemp("recovery") / "recovered")


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def rows_of(bundle: Path) -> dict[str, int]:
    graph = OpenVINOGraph(bundle / "openvino/openvino_model.xml")
    return {name: weight.rows for name, weight in graph.weights.items()}


def graphs_of(bundle: Path) -> list[StoredGraph]:
    return [
        OpenVINOGraph(bundle / "openvino/openvino_model.xml"),
        OnnxGraph(bundle / "onnx/model.onnx", rows_of(bundle)),
    ]


def test_a_recovered_bundle_is_closer_and_as_large(made: Path, recovered: Recovered) -> None:
    assert recovered.after.kl < 0.95 * recovered.before.kl
    recovered.bundle.verify()
    before, after = contents(made), contents(recovered.bundle.folder)
    changed = {name for name in before if before[name] != after[name]}
    weights = {"openvino/openvino_model.bin", "onnx/model.onnx.data"}
    assert changed == {*weights, MANIFEST, "report.json", "report.md"}
    for name in weights:
        assert len(before[name]) == len(after[name])


def test_both_graphs_have_what_was_learned(made: Path, recovered: Recovered) -> None:
    old, new = graphs_of(made), graphs_of(recovered.bundle.folder)
    learned = old[0].learnable()
    assert set(learned) == set(old[1].learnable())
    changed = 0
    for name in learned:
        first, second = new[0].weights[name], new[1].weights[name]
        for field in ("values", "scales", "zero_points"):
            assert np.array_equal(getattr(first, field), getattr(second, field))
        assert np.array_equal(first.values, learned[name].values)  # codes stay
        changed += not np.array_equal(first.scales, learned[name].scales)
    assert changed > 0
    for name in set(old[0].weights) - set(learned):  # 8 bits stay
        assert np.array_equal(old[0].weights[name].values, new[0].weights[name].values)


def test_report_and_manifest_say_what_was_learned(recovered: Recovered) -> None:
    bundle = recovered.bundle
    assert bundle.manifest is not None
    assert bundle.manifest.validation["kl"] == recovered.after.kl
    assert bundle.manifest.also[0].validation["kl"] == pytest.approx(recovered.after.kl, rel=0.02)
    assert set(bundle.manifest.self_check) == {"openvino", "onnx"}
    report = json.loads((bundle.folder / "report.json").read_text())
    assert report["recovery"]["before"]["kl"] == recovered.before.kl
    assert report["fidelity"]["kl"] == report["graphs"][0]["fidelity"]["kl"] == recovered.after.kl
    assert report["recovery"]["tokens"] == 128 * len(report["recovery"]["divergence"]) * 2
    page = (bundle.folder / "report.md").read_text()
    assert "## Recovery" in page
    assert "Python's language reference" in page


def test_a_recovered_bundle_runs(recovered: Recovered) -> None:
    params = SamplingParams(max_tokens=8, temperature=0)
    texts = []
    for backend in ("openvino", "onnx"):
        with LLM(recovered.bundle.folder, backend=backend, speculation="off") as llm:
            texts.append(llm.generate("The tide comes in", params).token_ids)
    assert texts[0] == texts[1]


def test_a_bundle_for_onnx_alone_is_recovered_in_its_place(made: Path, tmp_path: Path) -> None:
    from nanoaccel.exporters.convert.request import ConvertOptions
    from nanoaccel.exporters.convert.ways import convert

    folder = tmp_path / "bundle"
    convert(made, folder, options=ConvertOptions(runtime="onnx"))
    found = run(folder)
    assert found.bundle.folder.samefile(folder)
    found.bundle.verify()
    assert found.after.kl < found.before.kl
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_what_is_no_better_is_not_published(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "bundle"))
    before = contents(folder)
    monkeypatch.setattr(learner.Learner, "_set_rates", _climb)
    with pytest.raises(ExportError, match=r"no better: KL .* nothing was changed"):
        run(folder)
    assert contents(folder) == before


def _climb(self: learner.Learner, *_: float) -> None:
    """Steps that lead away."""
    for group in self._optimizer.param_groups:
        group["lr"] = -0.05


def test_a_killed_recovery_leaves_the_bundle_as_it_was(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "bundle"))
    before = contents(folder)
    command = [sys.executable, "-m", "nanoaccel", "recover", str(folder), "--minutes", "1"]
    command += ["--length", "128", "--judge-tokens", "512"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr)
        assert any(line.startswith("judge it before") for line in lines)
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
    assert contents(folder) == before


def test_an_original_that_is_not_here_is_named(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "bundle"))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["source"]["id"] = "org/gone"
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(SourceError, match="org/gone is not here") as caught:
        run(folder)
    assert "nanoaccel pull org/gone" in str(caught.value)


class Paper(OpenVINOGraph):
    """A graph that has these matrices, and no file."""

    def __init__(self, *weights: StoredWeight) -> None:
        self.path = Path("graph.xml")
        self.weights = {weight.key: weight for weight in weights}


def test_other_weights_are_refused_by_name() -> None:
    codes, scales = np.zeros((2, 32), np.uint8), np.ones((2, 1), np.float16)
    eight = StoredWeight("a", codes, 32, 8, scales)
    with pytest.raises(UnsupportedModelError, match="in 4-bit integers, but in 8-bit integers"):
        Paper(eight).learnable()
    with pytest.raises(UnsupportedModelError, match="but in floats, nf4"):
        Paper(
            StoredWeight("b", codes.astype(np.float32), 32, 0),
            StoredWeight("c", codes, 64, 4, scales, nf4=True),
        ).learnable()
    four = StoredWeight("d", codes, 64, 4, scales)
    assert Paper(eight, four).learnable() == {"d": four}


def test_too_little_time_is_refused(made: Path) -> None:
    options = RecoveryOptions(minutes=0.01, text=OPTIONS.text, judge_tokens=512)
    with pytest.raises(ConfigError, match="no time to learn"):
        run(made, options=options)


def test_a_matrix_that_lies_elsewhere_is_refused(made: Path) -> None:
    graph = OpenVINOGraph(made / "openvino/openvino_model.xml")
    name, weight = next(iter(graph.learnable().items()))
    assert weight.scales is not None
    short = replace(weight, scales=weight.scales[:1])
    with pytest.raises(UnsupportedModelError, match="bytes"):
        list(graph.patches({name: short}))
