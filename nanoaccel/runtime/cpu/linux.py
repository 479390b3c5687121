"""The machine as Linux shows it under /sys and /proc."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field, replace
from pathlib import Path

from nanoaccel.runtime.cpu.cgroups import cpu_quota, cpuset, memory_limit
from nanoaccel.runtime.cpu.core_kinds import classify
from nanoaccel.runtime.cpu.features import read_identity
from nanoaccel.runtime.cpu.files import format_cpus, parse_cpus, read_cpus, read_int, read_text
from nanoaccel.runtime.cpu.topology import (
    Allowance,
    Cache,
    CacheKind,
    Core,
    Machine,
    Node,
    Topology,
)

_CPUS = "sys/devices/system/cpu"
_NODES = "sys/devices/system/node"
_CACHE_KINDS: dict[str, CacheKind] = {
    "Data": "data",
    "Instruction": "instruction",
    "Unified": "unified",
}
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def read_linux(root: Path) -> Machine:
    """Look at the machine.

    Args:
        root: Where /proc and /sys are; tests replace it.
    """
    return _Reader(root).read()


@dataclass(slots=True)
class _Reader:
    """One look, and what it had to guess."""

    root: Path
    notes: list[str] = field(default_factory=list)

    def read(self) -> Machine:
        identity = read_identity(self.root)
        mask = _affinity(self.root)
        online = self._online(mask)
        caches = _caches(self.root, online)
        nodes, node_of = self._nodes(online)
        cores = [self._core(place, cpus, node_of) for place, cpus in enumerate(self._cores(online))]
        kinds = classify(self.root, cores, caches)
        topology = Topology(
            system="linux",
            name=identity.name,
            vendor=identity.vendor,
            family=identity.family,
            architecture=platform.machine(),
            cores=tuple(replace(core, kind=kind) for core, kind in zip(cores, kinds, strict=True)),
            caches=caches,
            nodes=nodes,
            instructions=identity.instructions,
        )
        return Machine(topology, self._allowance(mask, online), tuple(dict.fromkeys(self.notes)))

    def _online(self, mask: tuple[int, ...]) -> tuple[int, ...]:
        listed = read_cpus(self.root / _CPUS / "online")
        if listed:
            return listed
        folders = (self.root / _CPUS).glob("cpu[0-9]*")
        numbers = [path.name[3:] for path in folders if read_int(path / "online") != 0]
        found = sorted(int(number) for number in numbers if number.isdecimal())
        return tuple(found) if found else mask

    def _cores(self, online: tuple[int, ...]) -> list[tuple[int, ...]]:
        """CPUs of each core: what all of them agree on."""
        siblings = {cpu: self._siblings(cpu, online) for cpu in online}
        if all(group is None for group in siblings.values()):
            self.notes.append(
                "this machine hides which CPUs share a core: "
                f"each of its {len(online)} CPUs counts as one"
            )
        known = {cpu: (cpu,) if group is None else group for cpu, group in siblings.items()}
        torn = [cpu for cpu in online if any(known[other] != known[cpu] for other in known[cpu])]
        if torn:
            self.notes.append(
                f"CPUs {format_cpus(tuple(torn))} do not agree who shares a core: "
                "each counts as one"
            )
            known.update((cpu, (cpu,)) for cpu in torn)
        return sorted(set(known.values()))

    def _siblings(self, cpu: int, online: tuple[int, ...]) -> tuple[int, ...] | None:
        """CPUs of a CPU's core that are online; None when the machine does not say."""
        folder = self._topology(cpu)
        for name in ("core_cpus_list", "thread_siblings_list"):
            listed = read_cpus(folder / name)
            if listed:
                return tuple(sorted({cpu, *set(listed).intersection(online)}))
        return None

    def _core(self, place: int, cpus: tuple[int, ...], node_of: dict[int, int]) -> Core:
        first = cpus[0]
        folder = self.root / _CPUS / f"cpu{first}"
        kilohertz = read_int(folder / "cpufreq/cpuinfo_max_freq")
        package = read_int(self._topology(first) / "physical_package_id")
        return Core(
            id=place,
            cpus=cpus,
            capacity=read_int(folder / "cpu_capacity"),
            max_mhz=None if kilohertz is None or kilohertz <= 0 else kilohertz // 1000,
            node=node_of[first],
            package=0 if package is None else max(0, package),
        )

    def _topology(self, cpu: int) -> Path:
        return self.root / _CPUS / f"cpu{cpu}/topology"

    def _nodes(self, online: tuple[int, ...]) -> tuple[tuple[Node, ...], dict[int, int]]:
        """NUMA nodes with CPUs, and the node of each CPU."""
        memory: dict[int, int | None] = {}
        node_of: dict[int, int] = {}
        numbers = [path.name[4:] for path in (self.root / _NODES).glob("node[0-9]*")]
        for number in sorted(int(number) for number in numbers if number.isdecimal()):
            folder = self.root / _NODES / f"node{number}"
            listed = read_cpus(folder / "cpulist")
            cpus = () if listed is None else tuple(c for c in listed if c in online)
            if any(cpu in node_of for cpu in cpus):
                self.notes.append(f"CPUs of NUMA node {number} are in another node too")
            memory[number] = _node_memory(folder)
            for cpu in cpus:
                node_of.setdefault(cpu, number)
        lost = [cpu for cpu in online if cpu not in node_of]
        if lost and node_of:
            self.notes.append(f"CPUs {format_cpus(tuple(lost))} are in no NUMA node")
        home = min(node_of.values(), default=0)
        node_of.update((cpu, home) for cpu in lost)
        nodes = [
            Node(number, tuple(c for c in online if node_of[c] == number), memory.get(number))
            for number in sorted(set(node_of.values()))
        ]
        return tuple(nodes), node_of

    def _allowance(self, mask: tuple[int, ...], online: tuple[int, ...]) -> Allowance:
        group = cpuset(self.root, self.notes)
        cpus = tuple(cpu for cpu in mask if cpu in online)
        if not cpus:
            self.notes.append("none of the CPUs of the affinity mask is online: all are taken")
            cpus = online
        if group is not None:
            shared = tuple(cpu for cpu in cpus if cpu in group)
            if shared:
                cpus = shared
            else:
                self.notes.append(
                    f"the cpuset {format_cpus(group)} and the affinity mask {format_cpus(cpus)} "
                    "have no CPU in common: the mask counts"
                )
        status = _status(self.root, "Mems_allowed_list")
        return Allowance(
            cpus=cpus,
            quota=cpu_quota(self.root, self.notes),
            cpuset=group,
            memory=memory_limit(self.root),
            memory_nodes=None if status is None else parse_cpus(status),
        )


def _affinity(root: Path) -> tuple[int, ...]:
    """CPUs that this thread may run on, as the kernel says; never empty."""
    listed = _status(root, "Cpus_allowed_list")
    mask = None if listed is None else parse_cpus(listed)
    if mask:
        return mask
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    count = os.cpu_count()
    return tuple(range(1 if count is None else count))


def _status(root: Path, name: str) -> str | None:
    """A field of /proc/self/status."""
    for process in ("thread-self", "self"):
        text = read_text(root / "proc" / process / "status")
        for line in () if text is None else text.splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return value.strip()
    return None


def _caches(root: Path, online: tuple[int, ...]) -> tuple[Cache, ...]:
    """Every cache once, by level and first CPU."""
    found: set[Cache] = set()
    for cpu in online:
        for folder in (root / _CPUS / f"cpu{cpu}/cache").glob("index*"):
            level = read_int(folder / "level")
            kind = _CACHE_KINDS.get(str(read_text(folder / "type")))
            listed = read_cpus(folder / "shared_cpu_list")
            if level is None or kind is None:
                continue
            sharers = {cpu, *(other for other in listed or () if other in online)}
            found.add(Cache(level, kind, _size(folder / "size"), tuple(sorted(sharers))))
    return tuple(sorted(found, key=lambda cache: (cache.level, cache.kind, cache.cpus)))


def _size(path: Path) -> int:
    """Bytes of a size such as ``32K``; 0 when it is none."""
    text = read_text(path)
    if not text:
        return 0
    unit = _UNITS.get(text[-1], 1)
    digits = text.rstrip("KMG")
    return int(digits) * unit if digits.isdecimal() else 0


def _node_memory(folder: Path) -> int | None:
    text = read_text(folder / "meminfo")
    for line in () if text is None else text.splitlines():
        words = line.split()  # Node 0 MemTotal: 16303512 kB
        if len(words) == 5 and words[2] == "MemTotal:" and words[3].isdecimal():
            return int(words[3]) * 1024
    return None
