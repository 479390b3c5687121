"""What the machine is, and what this process may use of it: plain facts, however they were read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

CoreKind = Literal["performance", "efficiency", "low-power"]
CacheKind = Literal["data", "instruction", "unified"]


@dataclass(frozen=True, slots=True)
class Core:
    """One core.

    Args:
        id: Its number among the cores, from 0.
        cpus: The CPUs (hardware threads) that share it, ascending; a CPU is what the operating
            system schedules on, and has its number.
        kind: "performance" where all cores are alike.
        capacity: Its speed as the system rates it, 1024 the fastest; None when it does not.
        max_mhz: The highest frequency; None when unknown.
        node: The NUMA node whose memory is near.
        package: The socket.
    """

    id: int
    cpus: tuple[int, ...]
    kind: CoreKind = "performance"
    capacity: int | None = None
    max_mhz: int | None = None
    node: int = 0
    package: int = 0


@dataclass(frozen=True, slots=True)
class Cache:
    """One cache: level from 1, size in bytes (0 when unknown), and the CPUs that share it."""

    level: int
    kind: CacheKind
    size: int
    cpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A NUMA node that has CPUs; ``memory`` in bytes, None when unknown."""

    id: int
    cpus: tuple[int, ...]
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """The machine.

    Args:
        system: "linux", "windows" or "macos".
        name: What the CPU calls itself.
        vendor: Who made it, as it says; empty when it does not.
        family: The vendor's number of the design, x86 only.
        architecture: "x86_64", "aarch64", ...
        cores: Those that are online.
        caches: Each once.
        nodes: NUMA nodes that have CPUs, at least one.
        instructions: Those of ``features.INSTRUCTIONS`` that every core has.
    """

    system: str
    name: str
    vendor: str
    family: int | None
    architecture: str
    cores: tuple[Core, ...]
    caches: tuple[Cache, ...]
    nodes: tuple[Node, ...]
    instructions: tuple[str, ...]

    @property
    def cpus(self) -> tuple[int, ...]:
        """All CPUs that are online, ascending."""
        return tuple(sorted(cpu for core in self.cores for cpu in core.cpus))

    @property
    def packages(self) -> tuple[int, ...]:
        """The sockets, ascending."""
        return tuple(sorted({core.package for core in self.cores}))

    @property
    def kinds(self) -> tuple[CoreKind, ...]:
        """Kinds of cores that it has, the fastest first."""
        present = {core.kind for core in self.cores}
        order: tuple[CoreKind, ...] = ("performance", "efficiency", "low-power")
        return tuple(kind for kind in order if kind in present)

    def caches_of(self, core: Core) -> tuple[Cache, ...]:
        """The caches that a core reads through, the nearest first."""
        own = set(core.cpus)
        return tuple(cache for cache in self.caches if own.intersection(cache.cpus))


@dataclass(frozen=True, slots=True)
class Allowance:
    """What this process may use of the machine.

    Args:
        cpus: CPUs that its threads may run on: online, in its affinity mask and in its cpuset;
            never empty.
        quota: CPUs whose time it may spend, as 1.5; None when nothing limits it.
        cpuset: CPUs of its control group; None when that does not say.
        memory: Bytes that its control groups allow in all; None when nothing limits it.
        memory_nodes: NUMA nodes whose memory it may allocate; None when unknown.
    """

    cpus: tuple[int, ...]
    quota: float | None = None
    cpuset: tuple[int, ...] | None = None
    memory: int | None = None
    memory_nodes: tuple[int, ...] | None = None

    @property
    def whole_cpus(self) -> int:
        """Threads that can all run at once, all the time; at least 1."""
        quota = math.inf if self.quota is None else math.floor(self.quota)
        return int(max(1, min(len(self.cpus), quota)))


@dataclass(frozen=True, slots=True)
class Machine:
    """Both, and what had to be guessed.

    Args:
        notes: One line for each fact that was hidden or contradicted another.
    """

    topology: Topology
    allowance: Allowance
    notes: tuple[str, ...] = ()
