"""Tunes a bundle for this machine: measures settings on its graphs, and keeps the best."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError
from nanoaccel.folders import cache_folder, check_writable
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.configure import configure
from nanoaccel.runtime.cpu.machine import this_machine
from nanoaccel.runtime.cpu.others import OthersMeter
from nanoaccel.runtime.cpu.threads import core_count
from nanoaccel.runtime.execution.target import TargetLoader
from nanoaccel.runtime.execution.tuned.axes import machine_axes, pass_axes, step_axes
from nanoaccel.runtime.execution.tuned.search import Axis, Bench, SearchResult, search
from nanoaccel.runtime.execution.tuned.setting import Setting
from nanoaccel.runtime.execution.tuned.stored import (
    Tuning,
    fingerprint,
    installed_versions,
    save_tuning,
    tuning_file,
)
from nanoaccel.runtime.tools.autotune.graph_pool import DecodeTimer, GraphPool, PromptTimer

# How long a step may keep others waiting.
_LONGEST_STEP = 0.5
# Of the time; what is left is for the size of steps.
_PASS_SHARE, _QUIET_SHARE = 0.5, 0.3
# When others use more than this share of the CPUs, threads are not judged.
_BUSY = 0.1


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning came to.

    Args:
        tuning: What was kept.
        file: Where.
        passes: The search over what changes passes.
        quiet: The search over what a busy machine would decide, beside what the first one found.
        steps: The search over how many tokens of a prompt a step has, beside what was found.
        others: CPUs that other programs used meanwhile, on average; None when unknown.
    """

    tuning: Tuning
    file: Path
    passes: SearchResult
    quiet: SearchResult
    steps: SearchResult
    others: float | None

    @property
    def was_busy(self) -> bool:
        """Whether other programs used so much that threads and runtimes could not be judged."""
        return _is_busy(self.others)


def tune(
    bundle: Bundle,
    *,
    seconds: float,
    allow_precision: bool,
    tell: Callable[[str], None],
    clock: Callable[[], float] = time.perf_counter,
) -> Tuned:
    """Look for the settings that are fastest here, and keep them for the next loads.

    Interrupted, it changes nothing.

    Args:
        bundle: An opened one.
        seconds: How long it may take, loading graphs included; what has begun is finished.
        allow_precision: Whether to try precisions too, which change results.
        tell: Called with what is done.
        clock: Seconds that pass.

    Raises:
        ConfigError: ``seconds`` is not above 0, the bundle cannot run here, or the cache folder,
            where tunings are kept, cannot be written.
        BundleError: It is damaged.
        MissingExtraError: No runtime for it is installed.
        OSError: The tuning could not be written in the end.
    """
    if not seconds > 0:
        raise ConfigError(f"time_budget={seconds:g} is out of range", "It is in seconds, above 0")
    folder, machine = cache_folder(), fingerprint(this_machine())
    file = tuning_file(bundle, folder, machine)
    _check_can_be_kept(file)
    backends = _installed(bundle)
    pool = GraphPool(bundle, backends[0], clock)
    try:
        searches = _Searches(pool, bundle, backends, clock() + seconds, clock, tell)
        passes = searches.passes(seconds * _PASS_SHARE, allow_precision=allow_precision)
        quiet, others = searches.quiet(passes.setting, seconds * _QUIET_SHARE)
        steps = searches.steps(quiet.setting)
        tell("measuring what draft tokens cost")
        pool.time_passes(quiet.setting, folder)
    finally:
        pool.close()
    tuning = Tuning(
        setting=steps.setting,
        gain=passes.gain * quiet.gain,
        prompt_gain=steps.gain,
        machine=machine,
        versions=installed_versions(),
    )
    save_tuning(tuning, file)
    return Tuned(tuning, file, passes, quiet, steps, others)


def _installed(bundle: Bundle) -> list[str]:
    """The backends that run the bundle here, the one that an engine takes by itself first.

    Raises:
        NanoAccelError: As ``TargetLoader.load``.
    """
    installed = BACKENDS.installed(bundle.runtimes)
    if len(installed) == 1:
        return installed
    model = TargetLoader(bundle=bundle, config=EngineConfig()).load("auto")
    model.backend.close()
    return sorted(installed, key=lambda name: name != model.name)


def _check_can_be_kept(file: Path) -> None:
    try:
        check_writable(file.parent)
    except OSError as error:
        raise ConfigError(
            f"the cache folder cannot be written, and a tuning is kept there: {error}",
            "Set NANOACCEL_CACHE to a folder that can be",
        ) from error


@dataclass(frozen=True, slots=True)
class _Searches:
    """The searches, one after the other, each from what the one before has found."""

    pool: GraphPool
    bundle: Bundle
    backends: Sequence[str]
    end: float
    clock: Callable[[], float]
    tell: Callable[[str], None]

    def passes(self, seconds: float, *, allow_precision: bool) -> SearchResult:
        """Over what changes passes."""
        axes = pass_axes(
            self.backends[0],
            self.bundle.weight_group_size,
            may_fuse=self.bundle.manifest is None,
            allow_precision=allow_precision,
        )
        found = self._search(DecodeTimer(self.pool), Setting(), axes, seconds)
        if found.setting != Setting():
            self.pool.release(Setting())
        return found

    def quiet(self, start: Setting, seconds: float) -> tuple[SearchResult, float | None]:
        """Over what a busy machine would decide; also the CPUs that others used meanwhile."""
        allowance = this_machine().allowance
        axes = machine_axes(
            self.backends,
            threads=core_count(),
            cpus=allowance.whole_cpus,
            fixed_threads="threads" in configure({}).resolved.found,
        )
        meter = OthersMeter(allowance.cpus)
        found = self._search(DecodeTimer(self.pool), start, axes, seconds)
        others = meter.used()
        if _is_busy(others) and found.setting != start:
            self.pool.release(found.setting)
            found = replace(found, setting=start, gain=1.0, kinds=())
        elif found.setting != start:
            self.pool.release(start)
        return found, others

    def steps(self, start: Setting) -> SearchResult:
        """Over the tokens of a prompt in a step."""
        bench = PromptTimer(self.pool)
        axes = step_axes(int(_LONGEST_STEP / bench.token_seconds(start)))
        return self._search(bench, start, axes, max(self.end - self.clock(), 0.0))

    def _search(
        self, bench: Bench, start: Setting, axes: Sequence[Axis], seconds: float
    ) -> SearchResult:
        return search(bench, start, axes, seconds=seconds, clock=self.clock, tell=self.tell)


def _is_busy(others: float | None) -> bool:
    return others is not None and others > _BUSY * this_machine().allowance.whole_cpus
