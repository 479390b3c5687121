from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_llms import write_bundle

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.machine import read_machine
from nanoaccel.runtime.cpu.threads import ENVIRONMENT
from nanoaccel.runtime.execution.tuned.setting import Setting, apply, tuned_backend
from nanoaccel.runtime.execution.tuned.stored import (
    Tuning,
    delete_tuning,
    find_tuning,
    fingerprint,
    from_json,
    save_tuning,
    to_json,
    tuning_file,
)
from nanoaccel.runtime.kv import CacheEviction

HERE, VERSIONS = "some CPU, 4 cores", {"nanoaccel": "1", "openvino": "2"}
SETTING = Setting(
    threads=3,
    quantization_group=64,
    fuse_projections=True,
    cache_precision="u8",
    runtime="onnx",
    max_step_tokens=256,
)
TUNING = Tuning(setting=SETTING, gain=1.2, prompt_gain=1.0, machine=HERE, versions=VERSIONS)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(write_bundle(tmp_path / "bundle"))


@pytest.fixture
def file(bundle: Bundle, tmp_path: Path) -> Path:
    """Where its tuning is, which is there."""
    file = tuning_file(bundle, tmp_path, HERE)
    save_tuning(TUNING, file)
    return file


def found(bundle: Bundle, folder: Path, machine: str = HERE, **versions: str) -> Tuning | None:
    return find_tuning(bundle, folder, machine=machine, versions={**VERSIONS, **versions})


def changed(**values: Any) -> str:
    return json.dumps({**to_json(TUNING), **values})


def test_a_tuning_is_found_again(bundle: Bundle, tmp_path: Path, file: Path) -> None:
    assert found(bundle, tmp_path) == TUNING
    assert list(file.parent.iterdir()) == [file]


def test_nothing_is_found_or_told_where_nothing_was_tuned(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "nanoaccel"):
        assert found(bundle, tmp_path) is None
    assert caplog.messages == []


@pytest.mark.usefixtures("file")
def test_a_bundle_that_changed_is_another(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.folder / "openvino_model.bin").write_bytes(b"other")
    assert found(bundle, tmp_path) is None


@pytest.mark.usefixtures("file")
def test_a_tuning_of_another_cpu_is_told_of(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "nanoaccel"):
        assert found(bundle, tmp_path, machine="another CPU") is None
    (line,) = caplog.messages
    assert "other CPUs" in line


def test_a_file_that_was_moved_from_another_cpu_is_ignored(
    bundle: Bundle, tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_tuning(replace(TUNING, machine="another CPU"), file)
    assert found(bundle, tmp_path) is None
    (line,) = caplog.messages
    assert "'another CPU', and is ignored" in line


@pytest.mark.usefixtures("file")
def test_a_tuning_of_other_versions_is_ignored(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert found(bundle, tmp_path, openvino="3") is None
    (line,) = caplog.messages
    assert "tuned with nanoaccel 1, openvino 2, and is ignored" in line


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        "null",
        "[" * 100_000,
        changed(schema=2),
        changed(schema=None),
        changed(setting={"threads": 0}),
        changed(setting={"threads": "2"}),
        changed(setting={"threads": True}),
        changed(setting={"quantization_group": -1}),
        changed(setting={"fuse_projections": "yes"}),
        changed(setting={"max_step_tokens": 0.5}),
        changed(setting={"precision": "f8"}),
        changed(setting={"cache_precision": None}),
        changed(setting={"runtime": 1}),
        changed(setting={"unknown": 1}),
        changed(setting=3),
        changed(gain="fast"),
        changed(gain=-1.0),
        changed(gain=None),
        changed(versions=["1"]),
        changed(versions={"openvino": 2}),
        changed(machine=3),
        changed(more=1),
        changed()[:-20],
    ],
)
def test_a_damaged_file_is_ignored_with_one_line(
    content: str, bundle: Bundle, tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(content)
    assert found(bundle, tmp_path) is None
    (line,) = caplog.messages
    assert "is damaged, and is ignored" in line
    assert "\n" not in line


def test_bytes_that_are_no_text_are_ignored_with_one_line(
    bundle: Bundle, tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    assert found(bundle, tmp_path) is None
    assert len(caplog.messages) == 1


def test_forget_removes_it(bundle: Bundle, tmp_path: Path, file: Path) -> None:
    assert delete_tuning(bundle, tmp_path, HERE)
    assert not file.exists()
    assert not delete_tuning(bundle, tmp_path, HERE)


def test_json_keeps_all() -> None:
    assert from_json(json.loads(json.dumps(to_json(TUNING)))) == TUNING


def test_fingerprint_names_what_may_be_used() -> None:
    machine = read_machine()
    whole = fingerprint(machine)
    fewer = replace(machine, allowance=replace(machine.allowance, quota=0.5))
    assert machine.topology.name in whole
    assert fingerprint(fewer) != whole


def test_apply_sets_what_the_user_did_not() -> None:
    config = apply(EngineConfig(), SETTING, {})
    assert (config.threads, config.quantization_group, config.fuse_projections) == (3, 64, True)
    assert (config.precision, config.cache_precision) == ("auto", "u8")
    assert config.max_step_tokens == 256


@pytest.mark.parametrize(
    "option",
    [
        {"threads": 1},
        {"cache_precision": "f16"},
        {"max_step_tokens": 128},
        {"quantization_group": 32},
        {"fuse_projections": False},
    ],
)
def test_apply_leaves_what_the_user_set(option: dict[str, Any]) -> None:
    config = apply(EngineConfig(**option), SETTING, {})
    (name, value), *_ = option.items()
    assert getattr(config, name) == value


def test_apply_leaves_threads_to_the_environment() -> None:
    assert apply(EngineConfig(), SETTING, {ENVIRONMENT: "2"}).threads is None
    assert apply(EngineConfig(), SETTING, {ENVIRONMENT: " "}).threads == 3


def test_apply_changes_no_exact_results() -> None:
    config = EngineConfig(precision="f32")
    tuned = apply(config, SETTING, {})
    assert replace(tuned, threads=None, max_step_tokens=None) == config


def test_apply_takes_no_cache_or_runtime_that_was_not_measured_with_scores() -> None:
    config = EngineConfig(cache_eviction=CacheEviction(64, by="score"))
    tuned = apply(config, SETTING, {})
    assert (tuned.quantization_group, tuned.cache_precision) == (64, "auto")
    assert tuned_backend("auto", config, SETTING) == "auto"


def test_apply_of_the_defaults_changes_nothing() -> None:
    assert apply(EngineConfig(), Setting(), {}) == EngineConfig()


def test_tuned_backend_is_the_users_where_one_is_named() -> None:
    assert tuned_backend("auto", EngineConfig(), SETTING) == "onnx"
    assert tuned_backend("openvino", EngineConfig(), SETTING) == "openvino"


def test_setting_reads_as_words() -> None:
    assert str(Setting()) == "defaults"
    assert str(SETTING) == (
        "threads 3, quantization group 64, fuse projections, cache precision u8, runtime onnx, "
        "max step tokens 256"
    )


def test_config_refuses_a_negative_group() -> None:
    with pytest.raises(ConfigError, match="quantization_group=-1"):
        EngineConfig(quantization_group=-1)
