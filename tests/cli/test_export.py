from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.bundle import MANIFEST, Bundle, Manifest, list_files
from nanoaccel.calibration.datasets import CalibrationOptions
from nanoaccel.exporters import pipeline
from nanoaccel.exporters.progress import StageEvent
from nanoaccel.exporters.quantize.recipe import PRESETS, Override, Recipe

ONE = ("--runtime", "openvino")
REPORT = {
    "recipe": "int4 symmetric",
    "note": "not made for ONNX Runtime: no such builder",
    "bits_per_weight": 4.5,
    "fidelity": {
        "kl": 0.0123,
        "kl_error": 0.0004,
        "top1_agreement": 0.875,
        "top1_error": 0.005,
        "tokens": 200,
        "text": "a text",
    },
    "draft": {"kind": "none", "from": "", "reason": "none was wanted"},
}


@pytest.fixture
def calls(paper_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Exports that were asked for; each copies the paper bundle."""
    seen = []

    def export(
        model: str,
        out: Path,
        *,
        listener: Callable[[StageEvent], None],
        **options: Any,
    ) -> Bundle:
        seen.append({"model": model, **{k: v for k, v in options.items() if v is not None}})
        listener(StageEvent("trace the graph", None, 0))
        listener(StageEvent("trace the graph", 2.0, 10**9))
        shutil.copytree(paper_bundle, out)
        (out / "report.json").write_text(json.dumps(REPORT))
        manifest = Manifest.from_json((out / MANIFEST).read_text(), out)
        (out / MANIFEST).unlink()
        whole = Manifest(
            target=manifest.target,
            source=manifest.source,
            recipe=manifest.recipe,
            tools=manifest.tools,
            validation=manifest.validation,
            files=list_files(out),
        )
        (out / MANIFEST).write_text(whole.to_json())
        return Bundle.open(out)

    monkeypatch.setattr(pipeline, "export", export)
    return seen


def test_export_tells_what_was_made_and_what_to_try(
    calls: list[dict[str, Any]], tmp_path: Path, run_cli: Any
) -> None:
    out = tmp_path / "my bundle"
    ended = run_cli("export", "org/model", out)
    assert ended.code == 0
    assert calls == [
        {
            "model": "org/model",
            "draft": "auto",
            "runtime": "auto",
            "overwrite": False,
        }
    ]
    assert f"{out}: int4 symmetric, " in ended.out
    assert "4.50 bits per weight" in ended.out
    assert "KL to the original 0.012 ± 0.0004 nats a token" in ended.out
    assert "same likeliest token 87.5% ± 0.5%,\nover 200 tokens of a text\n" in ended.out
    assert "draft: none, none was wanted\nnote: not made for ONNX Runtime: no such" in ended.out
    assert ended.out.endswith(f"nanoaccel generate '{out}' \"Once upon a time\"\n")
    assert ended.err == "trace the graph ... 2.0 s     1.0 GB\n"


def test_export_suggests_chat_for_a_chat_model(
    calls: list[dict[str, Any]],  # noqa: ARG001 - the export is replaced
    paper_bundle: Path,
    tmp_path: Path,
    run_cli: Any,
) -> None:
    (paper_bundle / "chat_template.jinja").write_text("{{ messages }}")
    ended = run_cli("export", "org/model", tmp_path / "out")
    assert ended.out.endswith(f"  nanoaccel chat {tmp_path / 'out'}\n")


def test_export_passes_the_recipe_on(
    calls: list[dict[str, Any]], tmp_path: Path, run_cli: Any
) -> None:
    ended = run_cli(
        *("export", "m", tmp_path / "out", "--weights", "nf4", "--method", "awq+scale-estimation"),
        *("--group-size", 32, "--override", "*.down_proj=int8", "--target-size", "88MB"),
        *("--last-layer", "same", "--draft", "my draft", "--overwrite", "--json"),
    )
    assert calls[0]["recipe"] == Recipe(
        weights="nf4",
        group_size=32,
        methods=("awq", "scale-estimation"),
        overrides=(Override(layers="*.down_proj", weights="int8"),),
        target_size=88_000_000,
        last_layer="same",
    )
    assert calls[0]["draft"] == "my draft"
    assert calls[0]["overwrite"]
    assert json.loads(ended.out) == {**REPORT, "bundle": str(tmp_path / "out")}


def test_export_changes_a_preset_by_flags(
    calls: list[dict[str, Any]], tmp_path: Path, run_cli: Any
) -> None:
    run_cli("export", "m", tmp_path / "a", "--recipe", "balanced", "--symmetric")
    run_cli("export", "m", tmp_path / "b", "--recipe", "balanced", "--method", "rtn")
    assert calls[0]["recipe"] == replace(PRESETS["balanced"], symmetric=True)
    assert calls[1]["recipe"] == replace(PRESETS["balanced"], methods=())


def test_export_puts_a_limit_in_the_place_of_those_of_a_preset(
    calls: list[dict[str, Any]], tmp_path: Path, run_cli: Any
) -> None:
    run_cli("export", "m", tmp_path / "out", "--recipe", "accurate", "--target-size", "88MB")
    assert calls[0]["recipe"] == PRESETS["accurate"].with_target(88_000_000)


def test_export_passes_the_text_and_the_search_on(
    calls: list[dict[str, Any]], tmp_path: Path, run_cli: Any
) -> None:
    run_cli(
        *("export", "m", tmp_path / "out", "--auto", "--time-budget", 2, "--max-kl", 0.1),
        *("--calibration", "my.jsonl", "--calibration-column", "body", "--seed", 7),
        *("--calibration-samples", 8, "--calibration-length", 64, "--judge-tokens", 512),
    )
    assert calls[0]["calibration"] == CalibrationOptions(
        source="my.jsonl", column="body", samples=8, length=64, seed=7
    )
    assert (calls[0]["search_seconds"], calls[0]["judge_tokens"]) == (120.0, 512)
    assert calls[0]["recipe"].max_kl == 0.1


def test_export_says_when_a_type_saves_disk_only(
    calls: list[dict[str, Any]],  # noqa: ARG001 - the export is replaced
    tmp_path: Path,
    run_cli: Any,
) -> None:
    ended = run_cli("export", "m", tmp_path / "out", "--weights", "int3")
    assert ended.err.startswith("int3 saves disk, not memory")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--weights", "int8", "--method", "gptq"], "method 'gptq' does not go with"),
        (["--weights", "mxfp4", "--group-size", "64"], "group_size=64 does not go with"),
        (["--override", "nothing"], "--override 'nothing' is not LAYERS=TYPE"),
        (["--target-size", "many"], "--target-size 'many' is not a size"),
        (["--target-size", "88MB", "--max-kl", "0.1"], "limits contradict each other"),
        (["--recipe", "balancd"], "balanced"),
        (["--method", "awk"], "Did you mean 'awq'"),
        (["--calibration-samples", "0"], "samples=0 is out of range"),
    ],
)
def test_export_refuses_what_does_not_go_together(
    tmp_path: Path, run_cli: Any, flags: list[str], message: str
) -> None:
    ended = run_cli("export", "m", tmp_path / "out", *flags)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def test_export_refuses_an_unknown_weight_type(tmp_path: Path, run_cli: Any) -> None:
    ended = run_cli("export", "m", tmp_path / "out", "--weights", "int5")
    assert (ended.code, ended.out) == (2, "")
    assert "weights='int5' is unknown" in ended.err


def test_quickstart_exports_and_answers(
    letters: Path, tmp_path: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(model: str, out: Path, *, listener: Callable[[StageEvent], None]) -> None:
        assert model == "sample"
        listener(StageEvent("trace the graph", 2.0, 10**9))
        shutil.copytree(letters, out)

    monkeypatch.setattr(pipeline, "export", export)
    ended = run_cli("quickstart", "--out", tmp_path / "made")
    assert ended.code == 0
    assert ended.out.startswith("> What is photosynthesis?")
    assert "\nabcdefghijklmnopqrstuvwxyz\n" in ended.out
    assert f"nanoaccel chat {tmp_path / 'made'}\n" in ended.out
    assert "27 tokens" in ended.err


def test_quickstart_uses_a_bundle_that_is_there(
    paper_bundle: Path,
    alphabet: Any,  # noqa: ARG001 - the graph is only bytes
    run_cli: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "export", None)
    ended = run_cli("quickstart", "--out", paper_bundle)
    assert ended.err.startswith(f"using the bundle in {paper_bundle}\n")
    assert ended.code == 2  # without a chat template there is nothing to ask it
    assert "no chat template" in ended.err


@pytest.mark.export
def test_export_makes_a_bundle_that_generates(
    tiny_model: Path, tmp_path: Path, processes: Any
) -> None:
    out = tmp_path / "out"
    ended = processes.run("export", tiny_model, out, "--weights", "f32", *ONE, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["fidelity"]["top1_agreement"] == 1.0
    stages = ended.err.splitlines()
    assert all(" ... " in line and " s " in line for line in stages)
    again = processes.run("export", tiny_model, out)
    assert again.code == 1
    assert again.err.startswith("error: ")
    assert "--overwrite" in again.err
    assert processes.run("generate", out, "hi", "--max-tokens", 2).code == 0


@pytest.mark.export
def test_export_of_a_model_that_is_missing(tmp_path: Path, processes: Any) -> None:
    ended = processes.run("export", tmp_path / "none", tmp_path / "out")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "out").exists()
