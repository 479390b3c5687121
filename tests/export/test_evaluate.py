"""A bundle against the model that it was made from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.bundle import MANIFEST
from nanoaccel.errors import ConfigError
from nanoaccel.evaluation import evaluate
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.source import model_source as sources
from nanoaccel.testing.tiny_models import write_model

pytestmark = pytest.mark.export

SIZES: dict[str, Any] = {"tokens": 1200, "length": 300}  # longer than a pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("NANOACCEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _forbid_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(sources, "load", refuse)


def test_a_bundle_in_f32_says_what_its_model_says(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = evaluate(tiny_bundle, **SIZES)
    assert found.tokens == 1200
    assert found.kl < 1e-4
    assert found.top1_agreement == 1.0
    assert found.perplexity == pytest.approx(found.reference_perplexity, rel=1e-4)
    _forbid_loading(monkeypatch)
    assert evaluate(tiny_bundle, **SIZES) == found


def test_a_reference_that_is_damaged_is_made_again(
    tiny_bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = evaluate(tiny_bundle, **SIZES)
    (kept,) = (cache / "references").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    assert evaluate(tiny_bundle, **SIZES) == found
    _forbid_loading(monkeypatch)
    assert evaluate(tiny_bundle, **SIZES) == found


def test_a_bundle_may_be_compared_with_a_bundle(tiny_bundle: Path, tmp_path: Path) -> None:
    again = shutil.copytree(tiny_bundle, tmp_path / "again")
    found = evaluate(tiny_bundle, against=again, **SIZES)
    assert found.kl < 1e-9
    assert found.perplexity == found.reference_perplexity


def test_another_model_must_be_named(tiny_bundle: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", seed=1)
    moved = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    content = json.loads((moved / MANIFEST).read_text())
    content["source"] = {"id": str(other), "revision": None}
    (moved / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=f"{other} has other weights, .* than {moved}"):
        evaluate(moved, **SIZES)
    assert evaluate(moved, against=other, **SIZES).kl > 0.1


def _change_rope(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}
    (folder / "config.json").write_text(json.dumps(config))


def _change_a_weight(folder: Path) -> None:
    """Behind the numbers that the fingerprint looks at, and without another sign."""
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    tensors = load_file(file)
    flat = tensors["lm_head.weight"].view(-1)
    flat[1024:] *= 3.0
    save_file(tensors, file, {"format": "pt"})


@pytest.mark.parametrize("change", [_change_rope, _change_a_weight])
def test_nothing_stale_is_found_of_a_model_that_has_changed(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    model = write_model(tmp_path / "model")
    exact = Recipe(weights="f32")
    before = export(model, tmp_path / "before", recipe=exact)
    assert evaluate(before.folder, **SIZES).kl < 1e-4
    change(model)
    after = export(model, tmp_path / "after", recipe=exact)
    assert after.fingerprint() == before.fingerprint()
    assert after.manifest is not None
    assert after.manifest.validation["kl"] < 1e-4
    assert evaluate(after.folder, **SIZES).kl < 1e-4
    # What the older bundle was made from is known, as it was.
    assert evaluate(before.folder, **SIZES).kl < 1e-4
    with pytest.raises(ConfigError, match="another configuration"):
        evaluate(before.folder, tokens=600, length=300)


def test_a_model_with_other_tokens_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": 390, "content": "<x>"})
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ConfigError, match=f"{other} has another tokenizer than {tiny_bundle}"):
        evaluate(tiny_bundle, against=other, **SIZES)


TASK = """\
task: tide
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{answers}}}}"
doc_to_target: right
metric_list: [{{metric: acc}}]
"""


def test_the_harness_runs_a_task_of_ones_own(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hub")
    from nanoaccel.evaluation.tasks import results_table, run_tasks

    rows = [
        {"question": f"The tide comes in {n} times", "answers": ["a day", "never"], "right": 0}
        for n in range(3)
    ]
    data = tmp_path / "tide.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "tide.yaml").write_text(TASK.format(data=data))
    told: list[str] = []
    results = run_tasks(tiny_bundle, ["tide"], limit=2, include=tmp_path, listener=told.append)
    assert results["n-samples"]["tide"]["effective"] == 2
    assert 0 <= results["results"]["tide"]["acc,none"] <= 1
    assert "|tide " in results_table(results)
    assert told[-1] == "scoring: 100%"
    with pytest.raises(ConfigError, match="task 'flood' is unknown"):
        run_tasks(tiny_bundle, ["flood"], include=tmp_path, listener=told.append)
