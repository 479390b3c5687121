"""The examples that make models: fine-tuning, recipes, drafts."""

from __future__ import annotations

import re
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.examples import load_example

from nanoaccel.bundle import Bundle, Manifest
from nanoaccel.calibration.datasets.options import CalibrationOptions
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.finetune.drafts.recipe import DraftRecipe
from nanoaccel.finetune.recovery.options import RecoveryOptions, teaching_options
from nanoaccel.finetune.recovery.run import recover
from nanoaccel.finetune.train.options import TrainingOptions
from nanoaccel.testing import tiny_models

pytest.importorskip("peft")
pytestmark = pytest.mark.export


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("The tide comes in twice a day, and the keeper writes it down.\n" * 60)
    return path


FINETUNE: dict[str, Any] = {
    "OPTIONS": TrainingOptions(
        rank=4, epochs=1, batch_tokens=1024, learning_rate=1e-2, evaluations=1, samples=0
    ),
    "ROWS": 80,
    "HELD_OUT": 4,
}


def losses(printed: str) -> list[float]:
    """Of the validation set, as an example printed them."""
    return [float(loss) for loss in re.findall(r"step \d+: ([\d.]+) nats", printed)]


def test_finetune_learns_exports_and_compares(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_example("training/finetune.py", **FINETUNE).main(str(tiny_model), str(tmp_path))
    printed = capsys.readouterr().out
    assert losses(printed)[-1] < 0.95 * losses(printed)[0]
    assert re.search(r"as expected: 0 of 4 before, \d after", printed)


def test_finetune_learns_on_a_base_in_4_bits(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_example("training/finetune.py", **FINETUNE).teach(str(tiny_model), tmp_path, "qlora")
    found = losses(capsys.readouterr().out)
    assert found[-1] < 0.95 * found[0]
    assert (tmp_path / "merged" / "config.json").is_file()


def test_quantize_tells_of_each_recipe(
    tiny_model: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibration = CalibrationOptions(samples=4, length=32, held_out=2)
    example = load_example("quantize.py", CALIBRATION=calibration)
    example.main(str(tiny_model), str(tmp_path / "out"), str(text))
    printed = capsys.readouterr().out
    assert re.findall(r"(\w+): [\d.]+ MB, KL [\d.]+ ±", printed) == ["nearest", "mine"]
    recipes = [manifest_of(tmp_path / "out" / name).recipe for name in ("nearest", "mine")]
    assert "methods" not in recipes[0]
    assert recipes[1]["methods"] == ["awq", "scale-estimation"]
    assert [one["layers"] for one in recipes[1]["overrides"]] == ["*.down_proj"]


def test_recover_tells_how_far_both_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_models.write_model(
        tmp_path / "model",
        hidden_size=160,
        intermediate_size=192,
        num_attention_heads=5,
        num_key_value_heads=5,
        initializer_range=0.1,
    )
    example = load_example(
        "training/recover.py",
        RECIPE=Recipe(weights="int4", symmetric=False, group_size=32),
        OPTIONS=RecoveryOptions(text=teaching_options(length=128), judge_tokens=512),
        recover=partial(recover, clock=count(0, 0.3).__next__),
    )
    example.main(str(model), str(tmp_path / "out"), "0.5")
    found = re.findall(r"(\w+): KL ([\d.]+) ±", capsys.readouterr().out)
    assert [name for name, _ in found] == ["rounded", "recovered"]
    assert float(found[1][1]) < float(found[0][1])


def manifest_of(folder: Path) -> Manifest:
    manifest = Bundle.open(folder).manifest
    assert manifest is not None
    return manifest


def test_draft_is_trained_ranked_and_used(
    tiny_bundle: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = DraftRecipe(epochs=1, vocabulary=200)
    example = load_example("training/draft.py", RECIPE=recipe)
    example.main(str(tiny_bundle), str(tmp_path / "draft"), str(text))
    printed = capsys.readouterr().out
    assert "right on held-out text, for 1, 2, ... draft tokens: " in printed
    assert "ngram: " in printed
    assert re.search(r"\d+ of \d+ draft tokens were accepted", printed)
