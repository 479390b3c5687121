"""Tunings in the cache folder: one file for each bundle and machine."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from nanoaccel.bundle import Bundle
from nanoaccel.cached_json import file_of, load_json, versions_of, write_json
from nanoaccel.folders import cache_folder
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import CachePrecision, Precision
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.machine import this_machine
from nanoaccel.runtime.cpu.topology import Machine
from nanoaccel.runtime.execution.tuned.setting import Setting

_SCHEMA = 1

_log = logging.getLogger("nanoaccel.tuning")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What was found for a bundle on a machine.

    Args:
        setting: The fastest that is sure to be faster than the defaults; or the defaults.
        gain: How many times as fast passes are with it: the median of measurements in turns.
        prompt_gain: How many times as fast a long prompt is with its tokens in a step.
        machine: Names the CPU and what may be used of it.
        versions: Versions of the packages whose change makes it stale.
    """

    setting: Setting
    gain: float
    prompt_gain: float
    machine: str
    versions: Mapping[str, str]


def fingerprint(machine: Machine) -> str:
    """Names a CPU and what this process may use of it."""
    topology, allowance = machine.topology, machine.allowance
    quota = "" if allowance.quota is None else f", quota {allowance.quota:g}"
    instructions = sha256(" ".join(topology.instructions).encode()).hexdigest()[:8]
    return (
        f"{topology.name}, {topology.architecture} {instructions}, {len(topology.cores)} cores, "
        f"CPUs {','.join(map(str, allowance.cpus))} of {len(topology.cpus)}{quota}"
    )


def installed_versions() -> dict[str, str]:
    """Of all that a measured speed depends on, as far as it is installed, and Python's."""
    return {"python": platform.python_version(), **versions_of(("nanoaccel", *BACKENDS.packages()))}


def tuning_file(bundle: Bundle, folder: Path, machine: str) -> Path:
    """Where the tuning of a bundle, as its files are now, is kept for a machine.

    Args:
        bundle: An opened one.
        folder: Keeps all small files.
        machine: Its ``fingerprint``.
    """
    stamps = " ".join(bundle.stamp(runtime) for runtime in bundle.runtimes)
    return file_of(folder / "tuning", stamps, machine)


def find_tuning(
    bundle: Bundle,
    folder: Path,
    *,
    machine: str | None = None,
    versions: Mapping[str, str] | None = None,
) -> Tuning | None:
    """The tuning that fits; None, with a line in the log, where one does not.

    Args:
        bundle: An opened one.
        folder: Keeps all small files.
        machine: ``fingerprint`` of the machine; None is this one.
        versions: Installed ones; None looks.
    """
    try:
        here = fingerprint(this_machine()) if machine is None else machine
        file = tuning_file(bundle, folder, here)
        if not file.is_file():
            _tell_of_others(file.parent)
            return None
    except (OSError, ValueError) as error:
        _tell_unreadable(bundle, error)
        return None
    try:
        tuning = load_json(file, from_json)
    except OSError as error:
        _tell_unreadable(bundle, error)
        return None
    except ValueError as error:
        _log.warning("%s is damaged, and is ignored: %s; tune again", file, error)
        return None
    if tuning.machine != here:
        _log.warning("%s is from another CPU, %r, and is ignored", file, tuning.machine)
        return None
    now = installed_versions() if versions is None else versions
    if dict(tuning.versions) != dict(now):
        _log.warning(
            "%s was tuned with %s, and is ignored: tune again",
            bundle.folder,
            ", ".join(f"{name} {number}" for name, number in tuning.versions.items()),
        )
        return None
    return tuning


def tuned_setting(bundle: Bundle, backend: str, config: EngineConfig) -> Setting:
    """What was tuned for a bundle here, where it is for the backend that the user wants.

    Args:
        bundle: An opened one.
        backend: The user's, or "auto".
        config: What the user set.
    """
    tuning = find_tuning(bundle, cache_folder()) if config.tuned else None
    if tuning is None:
        return Setting()
    fits = backend in ("auto", tuning.setting.runtime) or bundle.runtimes == (backend,)
    return tuning.setting if fits else Setting()


def save_tuning(tuning: Tuning, file: Path) -> None:
    """Write it, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    write_json(file, to_json(tuning))


def delete_tuning(bundle: Bundle, folder: Path, machine: str) -> bool:
    """Remove the tuning of a bundle for a machine; gives whether there was one.

    Raises:
        OSError: It cannot be removed.
    """
    file = tuning_file(bundle, folder, machine)
    found = file.is_file()
    file.unlink(missing_ok=True)
    return found


def to_json(tuning: Tuning) -> dict[str, Any]:
    """As it is stored."""
    return {"schema": _SCHEMA, **asdict(tuning)}


def from_json(found: Any) -> Tuning:
    """Make it of what ``to_json`` gave, and take that apart.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is something else.
    """
    if found.pop("schema") != _SCHEMA:
        raise ValueError("another version of NanoAccel wrote it")
    setting = found.pop("setting")
    tuning = Tuning(setting=Setting(**setting), **found)
    _check(tuning)
    return tuning


def _check(tuning: Tuning) -> None:
    setting = tuning.setting
    counts = (
        (setting.threads, 1),
        (setting.quantization_group, 0),
        (setting.max_step_tokens, 1),
    )
    sound = (
        all(value is None or (_whole(value) and value >= least) for value, least in counts)
        and setting.precision in get_args(Precision)
        and setting.cache_precision in get_args(CachePrecision)
        and setting.fuse_projections in (None, False, True)
        and isinstance(setting.runtime, str)
        and isinstance(tuning.machine, str)
        and all(isinstance(number, str) for number in tuning.versions.values())
        and all(0 < float(gain) < 1e6 for gain in (tuning.gain, tuning.prompt_gain))
    )
    if not sound:
        raise ValueError("a value is out of range")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _tell_unreadable(bundle: Bundle, error: Exception) -> None:
    _log.warning("the tuning of %s cannot be read, and is ignored: %s", bundle.folder, error)


def _tell_of_others(folder: Path) -> None:
    if any(folder.glob("*.json")):
        _log.info("%s has tunings of other CPUs only: tune here too", folder)
