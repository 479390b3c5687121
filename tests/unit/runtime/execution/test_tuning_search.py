from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.execution.tuned.axes import machine_axes, pass_axes, step_axes
from nanoaccel.runtime.execution.tuned.search import (
    LEAST_GAIN,
    Axis,
    SearchResult,
    Trial,
    median_bound,
    search,
)
from nanoaccel.runtime.execution.tuned.setting import Setting

GROUPS = Axis.of("quantization_group", (32, 64, 128))
THREADS = Axis.of("threads", (1, 2))
DEFAULT = Setting()


class NoisyMachine:
    """Settings that take known seconds, on a machine where others work too.

    Args:
        speed: Gives how many times as fast as the defaults a setting is.
        noise: Standard deviation of the logarithm of a measurement.
        spikes: Share of measurements that take three times as long.
        drift: How much slower the machine becomes with each measurement.
    """

    def __init__(
        self,
        speed: Callable[[Setting], float],
        *,
        noise: float = 0.0,
        spikes: float = 0.0,
        drift: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._speed, self._noise, self._spikes = speed, noise, spikes
        self._drift, self._random = drift, random.Random(seed)
        self.impossible: set[Setting] = set()
        self.loaded: set[Setting] = set()
        self.loading = 1.0
        self.now = 0.0
        self.count = 0
        self.told: list[str] = []
        self.second_kind: Callable[[Setting], float] = lambda _: 1.0

    def measure(self, setting: Setting) -> list[float]:
        if setting in self.impossible:
            raise ConfigError(f"no {setting}", "Take another")
        if setting not in self.loaded:
            self.loaded.add(setting)
            self.now += self.loading
        self.count += 1
        seconds = self._random.lognormvariate(0, self._noise) / self._speed(setting)
        seconds *= 0.1 * (1 + self._drift * self.count)
        if self._random.random() < self._spikes:
            seconds *= 3
        self.now += seconds
        return [seconds, seconds * self.second_kind(setting)]

    def release(self, setting: Setting) -> None:
        self.loaded.remove(setting)

    def search(self, *axes: Axis, seconds: float = 1000.0) -> SearchResult:
        return search(
            self,
            DEFAULT,
            axes,
            seconds=seconds,
            clock=lambda: self.now,
            tell=self.told.append,
        )


def by_group(**speeds: float) -> Callable[[Setting], float]:
    return lambda setting: speeds.get(f"g{setting.quantization_group}", 1.0)


def test_search_finds_what_is_faster() -> None:
    machine = NoisyMachine(by_group(g64=1.2, g128=1.1), noise=0.02, spikes=0.05)
    found = machine.search(GROUPS, THREADS)
    assert found.setting == Setting(quantization_group=64)
    assert found.gain == pytest.approx(1.2, rel=0.05)
    assert found.finished


def test_search_goes_on_from_what_it_found() -> None:
    def speed(setting: Setting) -> float:
        return by_group(g64=1.2)(setting) * (1.3 if setting.threads == 1 else 1.0)

    found = NoisyMachine(speed, noise=0.02).search(GROUPS, THREADS)
    assert found.setting == Setting(quantization_group=64, threads=1)
    assert found.gain == pytest.approx(1.56, rel=0.05)


def test_search_keeps_the_defaults_where_nothing_is_faster() -> None:
    found = NoisyMachine(by_group(g64=0.9, g32=1.01), noise=0.05).search(GROUPS, THREADS)
    assert (found.setting, found.gain) == (DEFAULT, 1.0)


def test_search_is_not_misled_by_a_machine_that_slows_down() -> None:
    machine = NoisyMachine(by_group(g32=0.98), drift=0.01)
    assert machine.search(GROUPS).setting == DEFAULT


def test_search_keeps_loaded_only_what_it_found_and_the_defaults() -> None:
    machine = NoisyMachine(by_group(g64=1.2))
    found = machine.search(GROUPS, THREADS)
    assert machine.loaded == {DEFAULT, found.setting}
    machine = NoisyMachine(by_group())
    machine.search(GROUPS, THREADS)
    assert machine.loaded == {DEFAULT}


def test_search_goes_past_what_cannot_be_had() -> None:
    machine = NoisyMachine(by_group(g128=1.2))
    machine.impossible = {Setting(quantization_group=64)}
    found = machine.search(GROUPS)
    assert found.setting == Setting(quantization_group=128)
    (refused,) = (trial for trial in found.trials if trial.problem is not None)
    assert (refused.setting, refused.ratios) == (Setting(quantization_group=64), ())


def test_search_takes_nothing_that_is_slower_at_some_work() -> None:
    machine = NoisyMachine(by_group(g64=2.0))
    machine.second_kind = lambda setting: 2.2 if setting.quantization_group == 64 else 1.0
    found = machine.search(GROUPS)
    assert found.setting == DEFAULT
    assert found.trials[1].kinds == pytest.approx((2.0, 2.0 / 2.2))
    machine.second_kind = lambda setting: 2.0 if setting.quantization_group == 64 else 1.0
    assert machine.search(GROUPS).setting == Setting(quantization_group=64)


def test_search_raises_where_the_defaults_cannot_be_had() -> None:
    machine = NoisyMachine(by_group())
    machine.impossible = {DEFAULT}
    with pytest.raises(ConfigError, match="no defaults"):
        machine.search(GROUPS)


def test_search_drops_the_hopeless_early() -> None:
    machine = NoisyMachine(by_group(g32=0.5, g64=0.5, g128=0.5))
    found = machine.search(GROUPS)
    assert [len(trial.ratios) for trial in found.trials] == [5, 5, 5]


@pytest.mark.parametrize("seconds", [0.0, 0.5, 2.0, 6.0, 60.0])
def test_search_keeps_to_its_time(seconds: float) -> None:
    machine = NoisyMachine(by_group(g64=1.2, g128=1.1), noise=0.02)
    found = machine.search(GROUPS, THREADS, seconds=seconds)
    begun = 1.2  # the defaults are loaded and measured in any case
    assert machine.now <= seconds + begun + 1
    assert found.finished == (seconds == 60.0)


def test_search_tells_what_it_does() -> None:
    machine = NoisyMachine(by_group(g64=1.2))
    machine.search(GROUPS)
    assert "trying quantization group 64" in machine.told
    assert "quantization group: round 1 of 31" in machine.told


def test_search_ends_at_once_when_it_is_interrupted() -> None:
    machine = NoisyMachine(by_group())
    calls = iter(range(7))

    def speed(_: Setting) -> float:
        if next(calls) == 6:
            raise KeyboardInterrupt
        return 1.0

    machine._speed = speed
    with pytest.raises(KeyboardInterrupt):
        machine.search(GROUPS)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    speeds=st.lists(st.floats(0.5, 1.5), min_size=5, max_size=5),
    noise=st.floats(0, 0.06),
    spikes=st.floats(0, 0.1),
    drift=st.floats(0, 0.01),
    seconds=st.floats(1, 60),
    seed=st.integers(0, 2**32),
)
def test_search_never_ends_slower(
    speeds: list[float], noise: float, spikes: float, drift: float, seconds: float, seed: int
) -> None:
    table = dict(zip((32, 64, 128, 1, 2), speeds, strict=True))

    def speed(setting: Setting) -> float:
        return table.get(setting.quantization_group or 0, 1.0) * table.get(
            setting.threads or 0, 1.0
        )

    machine = NoisyMachine(speed, noise=noise, spikes=spikes, drift=drift, seed=seed)
    found = machine.search(GROUPS, THREADS, seconds=seconds)
    # What differs by less than the noise of its median may be mistaken.
    assert speed(found.setting) >= 1 - noise
    assert found.setting == DEFAULT or found.gain > LEAST_GAIN


def test_median_bound_is_that_of_the_sign_test() -> None:
    values = [float(value) for value in range(1, 16)]
    assert median_bound(values[:3]) == -math.inf
    assert median_bound(values[:5]) == 1
    assert median_bound(values[:9]) == 3
    assert median_bound(values[::-1]) == 5


@given(st.lists(st.floats(0.1, 10), min_size=4, max_size=40))
def test_median_bound_is_not_above_the_median(values: list[float]) -> None:
    assert median_bound(values) <= statistics.median(values)


def test_trial_tells_median_and_quartiles() -> None:
    trial = Trial(DEFAULT, (1.0, 1.1, 1.2, 1.3, 1.4))
    assert (trial.median, trial.spread) == (1.2, (1.1, 1.3))


def groups(*sizes: int) -> tuple[Mapping[str, object], ...]:
    return tuple({"quantization_group": size} for size in sizes)


def test_pass_axes_change_no_precision_unless_allowed_and_fuse_what_may_be_apart() -> None:
    def fields(*, allow: bool) -> dict[str, tuple[Mapping[str, object], ...]]:
        axes = pass_axes("openvino", 64, may_fuse=False, allow_precision=allow)
        return {axis.name: axis.changes for axis in axes}

    assert fields(allow=False) == {"quantization group": groups(128, 32, 256)}
    allowed = fields(allow=True)
    assert allowed["quantization group"] == groups(128, 32, 256, 0)
    assert {"precision", "cache precision"} < set(allowed)
    apart = pass_axes("openvino", None, may_fuse=True, allow_precision=False)
    fused = {"fuse_projections": True}
    assert apart[0].changes == (
        *({**change, **fused} for change in groups(64, 128, 32, 256)),
        fused,
    )
    assert pass_axes("onnx", None, may_fuse=True, allow_precision=False) == []


def test_quiet_axes_are_threads_and_runtimes() -> None:
    both = machine_axes(["openvino", "onnx"], threads=4, cpus=8, fixed_threads=False)
    assert both == [Axis.of("threads", (2, 3, 8)), Axis.of("runtime", ("onnx",))]
    assert machine_axes(["onnx"], threads=1, cpus=1, fixed_threads=False) == []
    assert machine_axes(["onnx"], threads=2, cpus=4, fixed_threads=True) == []


def test_quiet_axes_never_have_more_threads_than_may_run() -> None:
    (axis,) = machine_axes(["onnx"], threads=4, cpus=3, fixed_threads=False)
    assert axis == Axis.of("threads", (2, 3))


@pytest.mark.parametrize(("most", "sizes"), [(10, (64,)), (300, (64, 256)), (900, (64, 256, 512))])
def test_step_axes_keep_steps_short(most: int, sizes: tuple[int, ...]) -> None:
    assert step_axes(most) == [Axis.of("max_step_tokens", sizes)]
