"""What is kept of a model gives its logits back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nanoaccel.calibration import reference
from nanoaccel.calibration.reference import Reference, record, reference_path
from nanoaccel.testing.tiny_models import VOCAB_SIZE, make_model

pytestmark = pytest.mark.export

WINDOWS = [
    np.random.default_rng(seed).integers(0, VOCAB_SIZE, length)
    for seed, length in enumerate((40, 33, 2))
]


def _ignore(_: float) -> None:
    """Progress."""


def _logits(model: Any, window: NDArray[np.int64]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return model(torch.from_numpy(window)[None]).logits[0].float().numpy()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["llama", "granite", "gemma2", "gpt2", "qwen3"])
def test_a_reference_gives_the_logits_back(kind: str, tied: bool, tmp_path: Path) -> None:
    model = make_model(kind, tie_word_embeddings=tied)
    found = record(model, "a text", WINDOWS, _ignore)
    assert found.projection is not None
    assert found.vocab_size == VOCAB_SIZE
    found.save(tmp_path / "kept.safetensors")
    kept = Reference.load(tmp_path / "kept.safetensors", WINDOWS)
    assert kept is not None
    assert kept.text == "a text"
    for place, window in enumerate(WINDOWS):
        expected = _logits(model, window)
        assert found.logits(place) == pytest.approx(expected, abs=1e-3)
        assert (kept.logits(place) == found.logits(place)).all()


def test_a_bias_of_the_last_projection_is_kept(tmp_path: Path) -> None:
    model = make_model("llama", tie_word_embeddings=False)
    model.lm_head.bias = torch.nn.Parameter(torch.randn(VOCAB_SIZE))
    record(model, "a text", WINDOWS, _ignore).save(tmp_path / "kept.safetensors")
    kept = Reference.load(tmp_path / "kept.safetensors", WINDOWS)
    assert kept is not None
    assert kept.logits(0) == pytest.approx(_logits(model, WINDOWS[0]), abs=1e-3)


@pytest.mark.parametrize("fits", [True, False])
def test_windows_that_run_together_give_the_same(
    fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that does not fit into memory reads its weights once."""
    model, passes = make_model("llama"), []
    windows = [window[:32] for _ in range(3) for window in WINDOWS[:2]]
    monkeypatch.setattr(reference, "_fits", lambda _: fits)
    monkeypatch.setattr(reference, "_TOGETHER", 64)
    alone = record(model, "a text", windows, _ignore, together=1)
    model.model.layers[0].register_forward_hook(lambda *_: passes.append(1))
    found = record(model, "a text", windows, _ignore)
    assert len(passes) == (3 if fits else 1) + 1  # and one that finds the projection
    for index in range(len(windows)):
        assert found.logits(index) == pytest.approx(alone.logits(index), abs=1e-4)


def test_states_keep_the_type_of_the_model() -> None:
    found = record(make_model("llama").bfloat16(), "a text", WINDOWS, _ignore)
    assert {states.dtype for states in found.states} == {torch.bfloat16}


def test_a_head_that_is_not_understood_keeps_logits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model("llama")
    project = reference.Projection.__call__
    monkeypatch.setattr(
        reference.Projection, "__call__", lambda self, states: project(self, states) * 1.01
    )
    found = record(model, "a text", WINDOWS, _ignore)
    assert found.projection is None
    assert found.vocab_size == VOCAB_SIZE
    assert found.logits(1) == pytest.approx(_logits(model, WINDOWS[1]), abs=1e-5)
    found.save(tmp_path / "kept.safetensors")
    assert not (tmp_path / "kept.safetensors").exists()


def test_record_tells_how_far_it_is() -> None:
    told: list[float] = []
    record(make_model("llama"), "a text", WINDOWS, told.append)
    assert told == [1 / 3, 2 / 3, 1.0]


def test_judge_compares_window_by_window() -> None:
    model = make_model("llama")
    found = record(model, "a text", WINDOWS, _ignore)
    told: list[float] = []
    same = found.judge(lambda window: _logits(model, window), tell=told.append)
    assert (same.text, same.tokens, same.top1_agreement) == ("a text", 75, 1.0)
    assert same.kl < 1e-6
    assert told == [1 / 3, 2 / 3, 1.0]
    other = make_model("llama", seed=1)
    assert found.judge(lambda window: _logits(other, window), most=1).tokens == 40
    assert found.judge(lambda window: _logits(other, window), most=1).kl > 0.1


@pytest.mark.parametrize("damage", ["none", "empty", "cut", "foreign"])
def test_a_damaged_file_is_not_loaded(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "kept.safetensors"
    record(make_model("llama"), "a text", WINDOWS, _ignore).save(path)
    content = path.read_bytes()
    if damage == "none":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": content[:-10], "foreign": b"{}" * 100}[damage])
    assert Reference.load(path, WINDOWS) is None


def test_a_file_of_other_windows_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "kept.safetensors"
    record(make_model("llama"), "a text", WINDOWS, _ignore).save(path)
    assert Reference.load(path, [*WINDOWS, WINDOWS[0]]) is None
    assert Reference.load(path, [WINDOWS[1], WINDOWS[0]]) is None


def test_saving_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "kept.safetensors"
    found = record(make_model("llama"), "a text", WINDOWS, _ignore)
    found.save(path)
    replace(found, text="another").save(path)
    kept = Reference.load(path, WINDOWS)
    assert kept is not None
    assert kept.text == "another"
    assert [file.name for file in path.parent.iterdir()] == ["kept.safetensors"]


def test_reference_path_names_weights_type_and_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANOACCEL_CACHE", str(tmp_path))
    path = reference_path("a" * 64, "torch.float32", "b" * 64)
    assert path == tmp_path / "references" / f"{'a' * 32}-float32-{'b' * 32}.safetensors"
