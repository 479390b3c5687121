"""A stored tuning at load, and the tuner on graphs of letters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.fake_llms import write_bundle

from nanoaccel import registry
from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError
from nanoaccel.folders import cache_folder
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.fake import FakeBackend
from nanoaccel.runtime.cpu.machine import this_machine
from nanoaccel.runtime.cpu.others import OthersMeter
from nanoaccel.runtime.execution.tuned.search import Axis
from nanoaccel.runtime.execution.tuned.setting import Setting
from nanoaccel.runtime.execution.tuned.stored import (
    Tuning,
    find_tuning,
    fingerprint,
    installed_versions,
    save_tuning,
    tuning_file,
)
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.tools.autotune import tune
from nanoaccel.runtime.types.plan import StepPlan, StepResult
from nanoaccel.testing.engines import VOCAB_SIZE, quick

Seconds = Callable[[BackendOptions, int], float]


class SlowBackend(FakeBackend):
    """Lets the runtime's clock run for as long as its passes are said to take."""

    def __init__(self, options: BackendOptions, runtime: Runtime) -> None:
        super().__init__(quick(), VOCAB_SIZE)
        self.options, self.runtime = options, runtime
        self.closed = False

    def forward(self, plan: StepPlan) -> StepResult:
        self.runtime.now += self.runtime.seconds(self.options, len(plan.token_ids))
        return super().forward(plan)

    def close(self) -> None:
        self.closed = True
        super().close()

    def _check_positions(self, positions: object, past: int) -> None:
        """What stands before them was never computed."""


class Runtime:
    """Opens graphs, and knows which; has a clock that runs while they do."""

    def __init__(self) -> None:
        self.opened: list[SlowBackend] = []
        self.seconds: Seconds = lambda *_: 0.001
        self.now = 0.0

    def load(self, options: BackendOptions) -> SlowBackend:
        self.opened.append(SlowBackend(options, self))
        return self.opened[-1]

    def clock(self) -> float:
        return self.now


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    made = Runtime()
    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: made.load)
    return made


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(write_bundle(tmp_path / "bundle"))


def store(bundle: Bundle, setting: Setting) -> Path:
    machine = fingerprint(this_machine())
    file = tuning_file(bundle, cache_folder(), machine)
    save_tuning(
        Tuning(
            setting=setting,
            gain=1.2,
            prompt_gain=1.0,
            machine=machine,
            versions=installed_versions(),
        ),
        file,
    )
    return file


def options_of(runtime: Runtime, bundle: Bundle, **arguments: object) -> BackendOptions:
    with LLM(bundle.folder, speculation="off", **arguments):  # type: ignore[arg-type]
        return runtime.opened[-1].options


def test_llm_loads_as_tuned(runtime: Runtime, bundle: Bundle) -> None:
    store(bundle, Setting(threads=1, quantization_group=64))
    options = options_of(runtime, bundle)
    assert (options.threads, options.quantization_group) == (1, 64)


def test_llm_loads_as_the_user_says(runtime: Runtime, bundle: Bundle) -> None:
    store(bundle, Setting(threads=1, quantization_group=64))
    options = options_of(runtime, bundle, threads=2)
    assert (options.threads, options.quantization_group) == (2, 64)
    options = options_of(runtime, bundle, tuned=False)
    assert (options.threads, options.quantization_group) == (None, None)


def test_llm_loads_with_a_damaged_tuning(runtime: Runtime, bundle: Bundle) -> None:
    store(bundle, Setting(threads=1)).write_text("{")
    assert options_of(runtime, bundle).threads is None


def test_llm_uses_a_tuning_of_the_runtime_that_is_named(runtime: Runtime, bundle: Bundle) -> None:
    store(bundle, Setting(threads=1))
    assert options_of(runtime, bundle, backend="openvino").threads == 1


def test_tune_finds_and_keeps_what_is_faster(runtime: Runtime, bundle: Bundle) -> None:
    def seconds(options: BackendOptions, _: int) -> float:
        return 0.0005 if options.quantization_group == 64 else 0.0015

    runtime.seconds = seconds
    told: list[str] = []
    tuned = tune(bundle, seconds=20, allow_precision=False, tell=told.append, clock=runtime.clock)
    assert tuned.tuning.setting.quantization_group == 64
    assert tuned.tuning.gain > 1.3
    assert find_tuning(bundle, cache_folder()) == tuned.tuning
    assert json.loads(tuned.file.read_text())["setting"]["quantization_group"] == 64
    assert all(backend.closed for backend in runtime.opened)
    assert told
    assert options_of(runtime, bundle).quantization_group == 64


def test_tune_takes_smaller_steps_where_prompts_gain(
    runtime: Runtime, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [Axis.of("max_step_tokens", (16,))]
    monkeypatch.setattr("nanoaccel.runtime.tools.autotune.find.pass_axes", lambda *_, **__: [])
    monkeypatch.setattr("nanoaccel.runtime.tools.autotune.find.machine_axes", lambda *_, **__: [])
    monkeypatch.setattr("nanoaccel.runtime.tools.autotune.find.step_axes", lambda _: sizes)
    runtime.seconds = lambda _, tokens: 1e-5 * tokens**2
    tuned = tune(bundle, seconds=20, allow_precision=False, tell=print, clock=runtime.clock)
    assert tuned.tuning.setting == Setting(max_step_tokens=16)
    assert tuned.tuning.prompt_gain > 1.5


@pytest.mark.parametrize(("others", "threads"), [(0.0, 1), (1000.0, None), (None, 1)])
def test_tune_judges_threads_on_a_quiet_machine_only(
    others: float | None,
    threads: int | None,
    runtime: Runtime,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nanoaccel.runtime.tools.autotune.find.pass_axes", lambda *_, **__: [])
    axes = [Axis.of("threads", (1,))]
    monkeypatch.setattr("nanoaccel.runtime.tools.autotune.find.machine_axes", lambda *_, **__: axes)
    monkeypatch.setattr("nanoaccel.runtime.tools.autotune.find.step_axes", lambda _: [])
    monkeypatch.setattr(OthersMeter, "used", lambda _: others)
    runtime.seconds = lambda options, _: 0.0005 if options.threads == 1 else 0.0015
    tuned = tune(
        bundle, seconds=20, allow_precision=False, tell=lambda _: None, clock=runtime.clock
    )
    assert tuned.tuning.setting.threads == threads
    assert tuned.was_busy == (threads is None)
    assert all(backend.closed for backend in runtime.opened)


def test_tune_that_is_interrupted_changes_nothing(runtime: Runtime, bundle: Bundle) -> None:
    file = store(bundle, Setting(threads=1))
    before = file.read_bytes()

    def seconds(options: BackendOptions, _: int) -> float:
        if options.quantization_group is not None:
            raise KeyboardInterrupt
        return 0.001

    runtime.seconds = seconds
    with pytest.raises(KeyboardInterrupt):
        tune(bundle, seconds=20, allow_precision=False, tell=print, clock=runtime.clock)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]
    assert all(backend.closed for backend in runtime.opened)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_tune_refuses_no_time(seconds: float, runtime: Runtime, bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="time_budget"):
        tune(
            bundle, seconds=seconds, allow_precision=False, tell=lambda _: None, clock=runtime.clock
        )
