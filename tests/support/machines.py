"""Machines that are only files: /sys and /proc of Linux, Windows' records, macOS' answers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from nanoaccel.runtime.cpu.files import format_cpus
from nanoaccel.runtime.cpu.windows_calls import WindowsAnswers

AVX2 = "fpu sse2 avx2 fma"
AVX512 = f"{AVX2} avx512f avx512_vnni avx512_bf16"
AMX = f"{AVX512} amx_tile amx_int8 amx_bf16"
ARM = "fp asimd asimdhp asimddp i8mm bf16"


@dataclass(frozen=True, kw_only=True)
class Cores:
    """Some cores that are alike.

    Args:
        count: How many.
        smt: CPUs of each.
        counter: Intel's performance counter for the kind, as "cpu_atom".
        capacity, mhz: As the kernel rates them.
        node, package: Where they are.
        l2: Cores that share a second-level cache.
        l3: Name of their third-level cache; None without one.
    """

    count: int
    smt: int = 1
    counter: str | None = None
    capacity: int | None = None
    mhz: int | None = None
    node: int = 0
    package: int = 0
    l2: int = 1
    l3: str | None = "0"


@dataclass(frozen=True, kw_only=True)
class Linux:
    """A Linux machine.

    Args:
        cores: In order of their CPUs.
        far_siblings: Whether the second CPUs of all cores come after all first ones (servers), or
            each beside its first (laptops).
        allowed: The affinity mask; None is all that are online.
        offline: CPUs that are switched off; lists still name them.
        hides: Leaves out /sys: topology, caches, nodes.
        memory: Bytes of each node.
        files: Further files by path; they replace those above.
    """

    cores: Sequence[Cores]
    name: str = "A CPU"
    vendor: str = "GenuineIntel"
    family: int = 6
    flags: str = AVX2
    far_siblings: bool = False
    allowed: Sequence[int] | None = None
    offline: Sequence[int] = ()
    hides: bool = False
    memory: int = 64 << 30
    files: tuple[tuple[str, str], ...] = ()

    def write(self, root: Path) -> Path:
        """Write the tree; gives its root."""
        cpus = self._cpus()
        online = tuple(cpu for cpu in cpus if cpu not in self.offline)
        mask = online if self.allowed is None else tuple(self.allowed)
        put(root, "proc/self/status", f"Name:\tx\nCpus_allowed_list:\t{format_cpus(mask)}\n")
        put(root, "proc/cpuinfo", "\n".join(self._cpuinfo(cpu) for cpu in online))
        if not self.hides:
            put(root, "sys/devices/system/cpu/online", f"{format_cpus(online)}\n")
            self._write_cpus(root, cpus)
            self._write_nodes(root, cpus)
        for path, text in self.files:
            put(root, path, text)
        return root

    def _cpus(self) -> dict[int, tuple[Cores, int]]:
        """The group of each CPU, and its core's number."""
        cores = [
            (group, number)
            for number, group in enumerate(one for one in self.cores for _ in range(one.count))
        ]
        if not self.far_siblings:
            numbers = count()
            return {next(numbers): core for core in cores for _ in range(core[0].smt)}
        most = max(group.smt for group, _ in cores)
        threads = [core for turn in range(most) for core in cores if turn < core[0].smt]
        return dict(enumerate(threads))

    def _cpuinfo(self, cpu: int) -> str:
        if "asimd" in self.flags:
            return f"processor\t: {cpu}\nFeatures\t: {self.flags}\nCPU implementer\t: 0x41\n"
        return (
            f"processor\t: {cpu}\nvendor_id\t: {self.vendor}\ncpu family\t: {self.family}\n"
            f"model name\t: {self.name}\nflags\t\t: {self.flags}\n"
        )

    def _write_cpus(self, root: Path, cpus: dict[int, tuple[Cores, int]]) -> None:
        counters: dict[str, list[int]] = {}
        for cpu, (group, number) in cpus.items():
            if group.counter is not None:
                counters.setdefault(group.counter, []).append(cpu)
            if cpu in self.offline:
                put(root, f"sys/devices/system/cpu/cpu{cpu}/online", "0\n")
                continue
            folder = f"sys/devices/system/cpu/cpu{cpu}"
            same = tuple(other for other, core in cpus.items() if core[1] == number)
            put(root, f"{folder}/topology/thread_siblings_list", f"{format_cpus(same)}\n")
            put(root, f"{folder}/topology/physical_package_id", f"{group.package}\n")
            if group.capacity is not None:
                put(root, f"{folder}/cpu_capacity", f"{group.capacity}\n")
            if group.mhz is not None:
                put(root, f"{folder}/cpufreq/cpuinfo_max_freq", f"{group.mhz * 1000}\n")
            first = min(place for kind, place in cpus.values() if kind is group)
            near = tuple(
                other
                for other, (kind, place) in cpus.items()
                if kind is group and (place - first) // group.l2 == (number - first) // group.l2
            )
            put_cache(root, folder, 0, 1, "Data", "32K", same)
            put_cache(root, folder, 1, 2, "Unified", "1024K", near)
            if group.l3 is not None:
                far = tuple(o for o, (kind, _) in cpus.items() if kind.l3 == group.l3)
                put_cache(root, folder, 2, 3, "Unified", "32M", far)
        for counter, numbers in counters.items():
            put(root, f"sys/devices/{counter}/cpus", f"{format_cpus(tuple(numbers))}\n")

    def _write_nodes(self, root: Path, cpus: dict[int, tuple[Cores, int]]) -> None:
        for node in {group.node for group, _ in cpus.values()}:
            own = tuple(cpu for cpu, (group, _) in cpus.items() if group.node == node)
            folder = f"sys/devices/system/node/node{node}"
            put(root, f"{folder}/cpulist", f"{format_cpus(own)}\n")
            size = self.memory // 1024
            put(root, f"{folder}/meminfo", f"Node {node} MemTotal:       {size} kB\n")


def put(root: Path, path: str, text: str) -> None:
    """Write a file, and the folders above it."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def put_cache(
    root: Path, folder: str, place: int, level: int, kind: str, size: str, cpus: tuple[int, ...]
) -> None:
    """Write a cache of a CPU."""
    index = f"{folder}/cache/index{place}"
    put(root, f"{index}/level", f"{level}\n")
    put(root, f"{index}/type", f"{kind}\n")
    put(root, f"{index}/size", f"{size}\n")
    put(root, f"{index}/shared_cpu_list", f"{format_cpus(cpus)}\n")


def desktop(**changes: object) -> Linux:
    """8 cores with two CPUs each, one kind, AVX-512."""
    fields: dict[str, object] = {
        "cores": [Cores(count=8, smt=2, mhz=5000)],
        "vendor": "AuthenticAMD",
        "family": 25,
        "flags": AVX512,
        "far_siblings": True,
    }
    return Linux(**{**fields, **changes})  # type: ignore[arg-type]


def hybrid_laptop(**changes: object) -> Linux:
    """CPUs 0-11: 6 performance cores; 12-19: 8 efficiency cores; 20-21: 2 low-power cores."""
    cores = [
        Cores(count=6, smt=2, counter="cpu_core", mhz=4700),
        Cores(count=8, counter="cpu_atom", mhz=3600, l2=4),
        Cores(count=2, counter="cpu_lowpower", mhz=2500, l2=2, l3=None),
    ]
    return Linux(**{"cores": cores, **changes})  # type: ignore[arg-type]


def two_sockets(**changes: object) -> Linux:
    """2 sockets of 28 cores with two CPUs each, AMX; CPUs 0-27 and 56-83 are on node 0."""
    cores = [
        Cores(count=28, smt=2, node=socket, package=socket, l3=str(socket), mhz=3500)
        for socket in (0, 1)
    ]
    fields: dict[str, object] = {"cores": cores, "flags": AMX, "far_siblings": True}
    return Linux(**{**fields, **changes})  # type: ignore[arg-type]


def four_nodes() -> Linux:
    """One socket of 32 cores in 4 NUMA nodes, without second CPUs."""
    cores = [Cores(count=8, node=node, l3=str(node)) for node in range(4)]
    return Linux(cores=cores, vendor="AuthenticAMD", family=25, flags=AVX512)


def arm_board() -> Linux:
    """CPUs 0-3 small, 4-7 big, by capacity; no third-level cache."""
    cores = [
        Cores(count=4, capacity=381, mhz=1800, l3=None),
        Cores(count=4, capacity=1024, mhz=2400, l3=None),
    ]
    return Linux(cores=cores, flags=ARM, files=(("proc/device-tree/model", "A board\0"),))


def windows_laptop(**changes: object) -> WindowsAnswers:
    """CPUs 0-3: 2 performance cores; 4-7: 4 efficiency cores."""
    masks = [(0b11, 1), (0b1100, 1), *((1 << cpu, 0) for cpu in range(4, 8))]
    records = [windows_core(mask, grade) for mask, grade in masks]
    records += [
        windows_record(3, bytes(22), 0xFF),
        windows_record(1, struct.pack("<I18x", 0), 0xFF),
        windows_cache(3, 12 << 20, 0, 0xFF),
        windows_cache(2, 2 << 20, 0, 0xF0),
        windows_cache(1, 48 << 10, 2, 0b11),
        windows_groups([8]),
    ]
    fields: dict[str, object] = {
        "processors": b"".join(records),
        "process_mask": 0xFF,
        "cpu_count": 8,
        "name": "12th Gen",
        "vendor": "GenuineIntel",
        "family": 6,
        "instructions": ("avx2",),
    }
    return WindowsAnswers(**{**fields, **changes})  # type: ignore[arg-type]


def windows_core(mask: int, grade: int, group: int = 0) -> bytes:
    """RelationProcessorCore."""
    return windows_record(0, struct.pack("<BB20x", int(mask.bit_count() > 1), grade), mask, group)


def windows_cache(level: int, size: int, kind: int, mask: int) -> bytes:
    """RelationCache."""
    return windows_record(2, struct.pack("<BBHII18x", level, 8, 64, size, kind), mask)


def windows_groups(sizes: Sequence[int]) -> bytes:
    """RelationGroup: CPUs of each group."""
    body = struct.pack("<HH20x", len(sizes), len(sizes))
    for size in sizes:
        body += struct.pack("<BB38xQ", size, size, (1 << size) - 1)
    return struct.pack("<II", 4, 8 + len(body)) + body


def windows_record(relation: int, head: bytes, mask: int, group: int = 0) -> bytes:
    """A record that ends in one group affinity."""
    body = head + struct.pack("<H", 1) + struct.pack("<QHxxxxxx", mask, group)
    return struct.pack("<II", relation, 8 + len(body)) + body


def mac_m3(**changes: int | str) -> Callable[[str], int | str | None]:
    """A MacBook with 6 performance and 6 efficiency cores."""
    answers: dict[str, int | str] = {
        "machdep.cpu.brand_string": "Apple M3 Pro",
        "hw.nperflevels": 2,
        "hw.packages": 1,
        "hw.physicalcpu": 12,
        "hw.logicalcpu": 12,
        "hw.perflevel0.physicalcpu": 6,
        "hw.perflevel0.logicalcpu": 6,
        "hw.perflevel0.l1dcachesize": 128 << 10,
        "hw.perflevel0.l2cachesize": 16 << 20,
        "hw.perflevel0.cpusperl2": 6,
        "hw.perflevel1.physicalcpu": 6,
        "hw.perflevel1.logicalcpu": 6,
        "hw.perflevel1.l2cachesize": 4 << 20,
        "hw.perflevel1.cpusperl2": 6,
        "hw.memsize": 18 << 30,
        "hw.optional.neon": 1,
        "hw.optional.arm.FEAT_FP16": 1,
        "hw.optional.arm.FEAT_DotProd": 1,
        "hw.optional.arm.FEAT_I8MM": 1,
        "hw.optional.arm.FEAT_SME": 0,
    }
    return {**answers, **changes}.get


def mac_intel() -> Callable[[str], int | str | None]:
    """An iMac with 6 cores of two CPUs."""
    answers: dict[str, int | str] = {
        "machdep.cpu.brand_string": "Intel(R) Core(TM) i7-8700B",
        "machdep.cpu.vendor": "GenuineIntel",
        "machdep.cpu.family": 6,
        "hw.packages": 1,
        "hw.physicalcpu": 6,
        "hw.logicalcpu": 12,
        "hw.l2cachesize": 256 << 10,
        "hw.l3cachesize": 12 << 20,
        "hw.memsize": 32 << 30,
        "hw.optional.avx2_0": 1,
        "hw.optional.fma": 1,
    }
    return answers.get
