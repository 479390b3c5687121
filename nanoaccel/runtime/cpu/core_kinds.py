"""Which cores of a Linux machine are fast, and which are small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nanoaccel.runtime.cpu.files import read_cpus
from nanoaccel.runtime.cpu.topology import Cache, Core, CoreKind

# Intel's hybrid CPUs: each kind of core has a performance counter of its own.
_COUNTERS: tuple[tuple[str, CoreKind], ...] = (
    ("cpu_core", "performance"),
    ("cpu_atom", "efficiency"),
    ("cpu_lowpower", "low-power"),
)
# A core that is slower than this share of the fastest is of another kind. Cores of one kind differ
# too: the ones that boost highest by a tenth, the middle cluster of a phone by a quarter.
_SAME_KIND = 0.7
_LAST_LEVEL = 3


def classify(root: Path, cores: Sequence[Core], caches: Sequence[Cache]) -> list[CoreKind]:
    """The kind of each core, in order; all "performance" where nothing tells them apart.

    Args:
        root: Where /sys is.
        cores: What is known of them already.
        caches: Caches of the machine.
    """
    kinds = _by_counter(root, cores, caches)
    if kinds is None:
        kinds = _by_speed([core.capacity for core in cores])
    if kinds is None:
        kinds = _by_speed([core.max_mhz for core in cores])
    return ["performance"] * len(cores) if kinds is None else kinds


def _by_counter(
    root: Path, cores: Sequence[Core], caches: Sequence[Cache]
) -> list[CoreKind] | None:
    kind_of: dict[int, CoreKind] = {}
    for name, kind in _COUNTERS:
        listed = read_cpus(root / f"sys/devices/{name}/cpus")
        kind_of.update((cpu, kind) for cpu in listed or ())
    if not set(kind_of.values()) - {"performance"}:
        return None
    # Kernels before 6.13 know two kinds. The cores on the low-power island are efficiency cores
    # that the last cache does not serve.
    served = {cpu for cache in caches if cache.level == _LAST_LEVEL for cpu in cache.cpus}
    found: list[CoreKind] = []
    for core in cores:
        kind = kind_of.get(core.cpus[0], "performance")
        island = bool(served) and not served.intersection(core.cpus)
        found.append("low-power" if kind == "efficiency" and island else kind)
    return found


def _by_speed(speeds: Sequence[int | None]) -> list[CoreKind] | None:
    """By the share of the fastest; None when they are alike or one is unknown."""
    known = [speed for speed in speeds if speed is not None and speed > 0]
    if len(known) < len(speeds) or not known:
        return None
    least = _SAME_KIND * max(known)
    if min(known) >= least:
        return None
    return ["performance" if speed >= least else "efficiency" for speed in known]
