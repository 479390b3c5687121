from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from nanoaccel.errors import BundleDamagedError
from nanoaccel.runtime.sampling import SamplingParams, SamplingSettings


def of(folder: Path, **written: object) -> SamplingSettings:
    (folder / "generation_config.json").write_text(json.dumps(written))
    return SamplingSettings.of_model(folder)


def test_settings_without_a_file_are_greedy(tmp_path: Path) -> None:
    assert SamplingSettings.of_model(tmp_path) == SamplingSettings()
    assert SamplingSettings().greedy


def test_settings_are_those_of_the_file_that_samples(tmp_path: Path) -> None:
    found = of(tmp_path, do_sample=True, temperature=0.6, top_k=20, top_p=0.95, min_p=0.1)
    assert found == SamplingSettings(temperature=0.6, top_k=20, top_p=0.95, min_p=0.1)
    assert found.described() == "temperature 0.6, top_k 20, top_p 0.95, min_p 0.1"


def test_settings_that_sample_without_a_temperature_have_one(tmp_path: Path) -> None:
    assert of(tmp_path, do_sample=True) == SamplingSettings(temperature=1.0)
    assert of(tmp_path, do_sample=True, temperature=None).temperature == 1.0


@pytest.mark.parametrize("said", [{}, {"do_sample": False}, {"do_sample": None}])
def test_settings_that_do_not_say_to_sample_are_greedy(
    tmp_path: Path, said: dict[str, object]
) -> None:
    found = of(tmp_path, temperature=0.6, top_p=0.9, repetition_penalty=1.1, **said)
    assert found.greedy
    assert found.described() == "greedy, repetition_penalty 1.1"
    asked = found.complete(SamplingParams(temperature=0.8))
    assert (asked.temperature, asked.top_p) == (0.8, 0.9)


def test_settings_give_way_to_what_a_user_says(tmp_path: Path) -> None:
    found = of(tmp_path, do_sample=True, temperature=0.6, top_k=20, top_p=0.95)
    asked = found.complete(SamplingParams(temperature=0, top_k=0, max_tokens=None, seed=3))
    assert (asked.temperature, asked.top_k, asked.top_p, asked.min_p) == (0, 0, 0.95, 0)
    assert (asked.max_tokens, asked.seed, asked.repetition_penalty) == (None, 3, 1)


@pytest.mark.parametrize("top_k", [-1, 0])
def test_settings_top_k_that_is_off_in_the_file_is_off(tmp_path: Path, top_k: int) -> None:
    assert of(tmp_path, do_sample=True, top_k=top_k).top_k == 0


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": 2.5}, "top_k"),
        ({"repetition_penalty": [1]}, "repetition_penalty"),
    ],
)
def test_settings_pass_over_what_cannot_be_and_name_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, written: dict[str, object], name: str
) -> None:
    with caplog.at_level(logging.WARNING, "nanoaccel"):
        assert of(tmp_path, do_sample=True, **written) == SamplingSettings(temperature=1.0)
    assert f"generation_config.json: {name}" in caplog.text


def test_settings_name_what_is_not_applied(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "nanoaccel"):
        of(tmp_path, no_repeat_ngram_size=3, num_beams=1, typical_p=1.0, suppress_tokens=[])
    assert "sets no_repeat_ngram_size=3, which is not applied here" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize("text", ["{", "[]", '"a"'])
def test_settings_refuse_a_damaged_file_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises(BundleDamagedError, match=r"generation_config\.json"):
        SamplingSettings.of_model(tmp_path)
