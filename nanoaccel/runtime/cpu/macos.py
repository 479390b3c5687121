"""The machine as macOS shows it, through sysctl."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Iterator

from nanoaccel.runtime.cpu.features import known_instructions
from nanoaccel.runtime.cpu.topology import (
    Allowance,
    Cache,
    CacheKind,
    Core,
    CoreKind,
    Machine,
    Node,
    Topology,
)

# A value by its name: a number, a text, or None when there is none.
Sysctl = Callable[[str], "int | str | None"]

_FLAGS = {
    "hw.optional.neon": "asimd",
    "hw.optional.AdvSIMD": "asimd",
    "hw.optional.arm.FEAT_FP16": "asimdhp",
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_SME": "sme",
    "hw.optional.avx2_0": "avx2",
    "hw.optional.fma": "fma",
    "hw.optional.avx512f": "avx512f",
    "hw.optional.avx512vnni": "avx512_vnni",
}
_CACHES: tuple[tuple[str, int, CacheKind], ...] = (
    ("l1icachesize", 1, "instruction"),
    ("l1dcachesize", 1, "data"),
    ("l2cachesize", 2, "unified"),
    ("l3cachesize", 3, "unified"),
)


def read_macos(sysctl: Sysctl) -> Machine:
    """Look at the machine; a process there can neither be bound to cores nor be limited.

    Args:
        sysctl: Answers; tests replace it.
    """
    notes: list[str] = []
    cores = _cores(sysctl, notes)
    cpus = tuple(cpu for core in cores for cpu in core.cpus)
    name, vendor = sysctl("machdep.cpu.brand_string"), sysctl("machdep.cpu.vendor")
    family = sysctl("machdep.cpu.family")
    memory = sysctl("hw.memsize")
    topology = Topology(
        system="macos",
        name=name if isinstance(name, str) and name else platform.machine(),
        vendor=vendor if isinstance(vendor, str) and vendor else "Apple",
        family=family if isinstance(family, int) else None,
        architecture=platform.machine(),
        cores=cores,
        caches=tuple(_caches(sysctl, cores)),
        nodes=(Node(0, cpus, memory if isinstance(memory, int) else None),),
        instructions=known_instructions(flag for key, flag in _FLAGS.items() if sysctl(key) == 1),
    )
    return Machine(topology, Allowance(cpus), tuple(notes))


def ask_macos(name: str) -> int | str | None:
    """Ask this machine's kernel; numbers are those of 4 or 8 bytes."""
    libc = ctypes.CDLL(None)
    size = ctypes.c_size_t(0)
    key = name.encode()
    if libc.sysctlbyname(key, None, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return None
    buffer = ctypes.create_string_buffer(size.value)
    if libc.sysctlbyname(key, buffer, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return None
    raw = buffer.raw[: size.value]
    if name.endswith(("_string", ".vendor", ".name")):
        return raw.rstrip(b"\0").decode(errors="replace")
    return int.from_bytes(raw, "little") if len(raw) in (4, 8) else None


def _cores(sysctl: Sysctl, notes: list[str]) -> tuple[Core, ...]:
    """Cores by performance level, the fastest first; level 0 is the fastest."""
    levels = _positive(sysctl("hw.nperflevels"), 1)
    counts = [_level(sysctl, f"hw.perflevel{level}.") for level in range(levels)]
    known = [count for count in counts if count is not None]
    if len(known) < levels or levels == 1:
        whole = _level(sysctl, "hw.")
        if whole is None:
            number = os.cpu_count()
            number = 1 if number is None else number
            notes.append(f"this Mac does not say what cores it has: each of {number} CPUs is one")
            whole = (number, 1)
        known = [whole]
    packages = _positive(sysctl("hw.packages"), 1)
    total = sum(number for number, _ in known)
    cores: list[Core] = []
    next_cpu = 0
    for level, (number, threads) in enumerate(known):
        kind: CoreKind = "performance" if level == 0 else "efficiency"
        for _ in range(number):
            cpus = tuple(range(next_cpu, next_cpu + threads))
            package = len(cores) * packages // total
            cores.append(Core(len(cores), cpus, kind, package=package))
            next_cpu += threads
    return tuple(cores)


def _level(sysctl: Sysctl, prefix: str) -> tuple[int, int] | None:
    """Cores, and CPUs of each; None when it does not say."""
    physical = _positive(sysctl(f"{prefix}physicalcpu"), 0)
    logical = _positive(sysctl(f"{prefix}logicalcpu"), 0)
    return None if physical == 0 else (physical, max(1, logical // physical))


def _caches(sysctl: Sysctl, cores: tuple[Core, ...]) -> Iterator[Cache]:
    for level, kind in enumerate(("performance", "efficiency")):
        own = [cpu for core in cores if core.kind == kind for cpu in core.cpus]
        threads = max((len(core.cpus) for core in cores), default=1)
        for name, depth, cache_kind in _CACHES:
            size = _positive(sysctl(f"hw.perflevel{level}.{name}"), 0)
            if size == 0 and level == 0:
                size = _positive(sysctl(f"hw.{name}"), 0)
            if size == 0 or not own:
                continue
            shared = _sharers(sysctl, level, depth, threads, len(own))
            for begin in range(0, len(own), shared):
                yield Cache(depth, cache_kind, size, tuple(own[begin : begin + shared]))


def _sharers(sysctl: Sysctl, level: int, depth: int, threads: int, most: int) -> int:
    """CPUs that share a cache of a level; a first-level cache is a core's own."""
    if depth == 1:
        return threads
    told = _positive(sysctl(f"hw.perflevel{level}.cpusperl{depth}"), 0)
    if told > 0:
        return min(told, most)
    return threads if depth == 2 else most


def _positive(value: int | str | None, otherwise: int) -> int:
    return value if isinstance(value, int) and value > 0 else otherwise
