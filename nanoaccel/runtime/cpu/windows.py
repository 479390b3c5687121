"""The machine as Windows shows it: the records of GetLogicalProcessorInformationEx."""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass

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
from nanoaccel.runtime.cpu.windows_calls import WindowsAnswers

_CORE, _NODE, _CACHE, _PACKAGE, _GROUP, _NODE_EX = 0, 1, 2, 3, 4, 6
_CACHE_KINDS: dict[int, CacheKind] = {0: "unified", 1: "instruction", 2: "data"}
_GROUP_SIZE = 64  # CPUs in a processor group at most
_GROUP_INFO = 48  # bytes that describe a group
_AFFINITY = struct.Struct("<QHxxxxxx")  # GROUP_AFFINITY: mask, group
_RATE_UNIT = 10_000  # a rate of 10,000 is all CPUs


@dataclass(frozen=True, slots=True)
class _Record:
    relation: int
    body: bytes  # after relation and size

    def cpus(self, count_at: int, first_cpus: dict[int, int]) -> tuple[int, ...]:
        """CPUs of the group affinities, whose number stands at an offset of the body."""
        number = max(1, self.short(count_at))  # 0 before groups were counted
        found = []
        for place in range(number):
            begin = count_at + 2 + place * _AFFINITY.size
            if begin + _AFFINITY.size > len(self.body):
                break
            mask, group = _AFFINITY.unpack_from(self.body, begin)
            found += _bits(mask, first_cpus.get(group, group * _GROUP_SIZE))
        return tuple(sorted(found))

    def byte(self, offset: int) -> int:
        return self.body[offset] if offset < len(self.body) else 0

    def short(self, offset: int) -> int:
        return int.from_bytes(self.body[offset : offset + 2], "little")

    def long(self, offset: int) -> int:
        return int.from_bytes(self.body[offset : offset + 4], "little")


def read_windows(answers: WindowsAnswers) -> Machine:
    """Look at the machine.

    Args:
        answers: What the system's calls gave; tests replace it.
    """
    notes: list[str] = []
    records = list(_records(answers.processors))
    first_cpus = _first_cpus(records)
    cores = _cores(records, first_cpus)
    if not cores:
        cores = [Core(cpu, (cpu,)) for cpu in range(max(1, answers.cpu_count))]
        notes.append(
            f"Windows does not say what cores it has: each of {len(cores)} CPUs counts as one"
        )
    cpus = tuple(sorted(cpu for core in cores for cpu in core.cpus))
    topology = Topology(
        system="windows",
        name=answers.name if answers.name else platform.machine(),
        vendor=answers.vendor,
        family=answers.family,
        architecture=platform.machine(),
        cores=tuple(cores),
        caches=tuple(_caches(records, first_cpus)),
        nodes=tuple(_nodes(records, first_cpus, cpus)),
        instructions=known_instructions(answers.instructions),
    )
    allowed = _allowed(answers, first_cpus, cpus)
    if not allowed:
        notes.append("none of the CPUs of the affinity mask exists: all are taken")
        allowed = cpus
    rate = answers.job_rate
    quota = None if rate is None else rate * len(cpus) / _RATE_UNIT
    if quota is not None and quota <= 0:
        notes.append("the job's CPU rate is 0: ignored")
        quota = None
    return Machine(topology, Allowance(allowed, quota, memory=answers.job_memory), tuple(notes))


def _records(data: bytes) -> Iterator[_Record]:
    begin = 0
    while begin + 8 <= len(data):
        relation, size = struct.unpack_from("<II", data, begin)
        if size < 8:
            return
        yield _Record(relation, data[begin + 8 : begin + size])
        begin += size


def _first_cpus(records: list[_Record]) -> dict[int, int]:
    """The number of the first CPU of each processor group; groups are counted through."""
    firsts: dict[int, int] = {}
    total = 0
    for record in records:
        if record.relation != _GROUP:
            continue
        for group in range(record.short(2)):
            firsts[group] = total
            total += record.byte(24 + group * _GROUP_INFO)  # MaximumProcessorCount
    return firsts


def _cores(records: list[_Record], first_cpus: dict[int, int]) -> list[Core]:
    raw = [(r.cpus(22, first_cpus), r.byte(1)) for r in records if r.relation == _CORE]
    raw = sorted(one for one in raw if one[0])
    classes = sorted({grade for _, grade in raw}, reverse=True)
    node_of = _members(records, _NODE, first_cpus) | _members(records, _NODE_EX, first_cpus)
    package_of = _members(records, _PACKAGE, first_cpus)
    return [
        Core(
            id=place,
            cpus=cpus,
            kind=_kind(classes.index(grade), len(classes)),
            node=node_of.get(cpus[0], 0),
            package=package_of.get(cpus[0], 0),
        )
        for place, (cpus, grade) in enumerate(raw)
    ]


def _kind(rank: int, classes: int) -> CoreKind:
    """The efficiency class is highest for the fastest cores."""
    if rank == 0:
        return "performance"
    return "low-power" if rank == classes - 1 and classes > 2 else "efficiency"


def _members(records: list[_Record], relation: int, first_cpus: dict[int, int]) -> dict[int, int]:
    """For each CPU the number of its node, or of its package."""
    found: dict[int, int] = {}
    matching = [record for record in records if record.relation == relation]
    for place, record in enumerate(matching):
        number = place if relation == _PACKAGE else record.long(0)
        found.update((cpu, number) for cpu in record.cpus(22, first_cpus))
    return found


def _nodes(
    records: list[_Record], first_cpus: dict[int, int], cpus: tuple[int, ...]
) -> Iterator[Node]:
    node_of = _members(records, _NODE, first_cpus) | _members(records, _NODE_EX, first_cpus)
    for number in sorted({node_of.get(cpu, 0) for cpu in cpus}):
        yield Node(number, tuple(cpu for cpu in cpus if node_of.get(cpu, 0) == number))


def _caches(records: list[_Record], first_cpus: dict[int, int]) -> list[Cache]:
    found = set()
    for record in records:
        kind = _CACHE_KINDS.get(record.long(8))
        if record.relation == _CACHE and kind is not None:
            found.add(Cache(record.byte(0), kind, record.long(4), record.cpus(30, first_cpus)))
    return sorted(found, key=lambda cache: (cache.level, cache.kind, cache.cpus))


def _allowed(
    answers: WindowsAnswers, first_cpus: dict[int, int], cpus: tuple[int, ...]
) -> tuple[int, ...]:
    """CPUs of the process's groups; a mask restricts it only within a single group."""
    groups = answers.groups if answers.groups else (0,)
    if len(groups) == 1 and answers.process_mask != 0:
        first = first_cpus.get(groups[0], groups[0] * _GROUP_SIZE)
        own = set(_bits(answers.process_mask, first))
        return tuple(cpu for cpu in cpus if cpu in own)
    return tuple(cpu for cpu in cpus if _group_of(cpu, first_cpus) in groups)


def _group_of(cpu: int, first_cpus: dict[int, int]) -> int:
    begun = [group for group, first in first_cpus.items() if first <= cpu]
    return max(begun, default=cpu // _GROUP_SIZE)


def _bits(mask: int, first: int) -> list[int]:
    return [first + bit for bit in range(_GROUP_SIZE) if mask >> bit & 1]
