"""What is read of Windows' records."""

from __future__ import annotations

import struct

import pytest
from support.machines import windows_core, windows_groups, windows_laptop, windows_record

from nanoaccel.runtime.cpu.topology import Cache, Node
from nanoaccel.runtime.cpu.windows import read_windows
from nanoaccel.runtime.cpu.windows_calls import WindowsAnswers


def test_windows_reads_a_hybrid_laptop() -> None:
    found = read_windows(windows_laptop())
    topology = found.topology
    assert (topology.system, topology.name, topology.family) == ("windows", "12th Gen", 6)
    assert [core.cpus for core in topology.cores] == [(0, 1), (2, 3), (4,), (5,), (6,), (7,)]
    assert [core.kind for core in topology.cores] == ["performance"] * 2 + ["efficiency"] * 4
    assert topology.nodes == (Node(0, tuple(range(8))),)
    assert topology.caches_of(topology.cores[0]) == (
        Cache(1, "data", 48 << 10, (0, 1)),
        Cache(3, "unified", 12 << 20, tuple(range(8))),
    )
    assert (found.allowance.cpus, found.allowance.quota) == (tuple(range(8)), None)
    assert found.notes == ()


def test_windows_keeps_to_the_affinity_mask() -> None:
    assert read_windows(windows_laptop(process_mask=0b10010001)).allowance.cpus == (0, 4, 7)


def test_windows_takes_all_when_the_mask_names_none() -> None:
    found = read_windows(windows_laptop(process_mask=1 << 40))
    assert len(found.allowance.cpus) == 8
    assert found.notes == ("none of the CPUs of the affinity mask exists: all are taken",)


@pytest.mark.parametrize(("rate", "quota"), [(2500, 2.0), (None, None)])
def test_windows_reads_the_cap_of_a_job(rate: int | None, quota: float | None) -> None:
    found = read_windows(windows_laptop(job_rate=rate, job_memory=1 << 30))
    assert (found.allowance.quota, found.allowance.memory) == (quota, 1 << 30)


def test_windows_ignores_a_cap_of_nothing() -> None:
    found = read_windows(windows_laptop(job_rate=0))
    assert (found.allowance.quota, found.notes) == (None, ("the job's CPU rate is 0: ignored",))


def test_windows_counts_through_processor_groups() -> None:
    records = [windows_core(1 << cpu, 0, group) for group in (0, 1) for cpu in range(40)]
    for group in (0, 1):
        node = struct.pack("<I18x", group)
        records += [windows_record(1, node, (1 << 40) - 1, group)]
        records += [windows_record(3, bytes(22), (1 << 40) - 1, group)]
    data = b"".join([*records, windows_groups([40, 40])])
    found = read_windows(WindowsAnswers(processors=data, groups=(0, 1)))
    assert found.topology.cpus == tuple(range(80))
    assert found.topology.packages == (0, 1)
    assert found.topology.nodes[1].cpus == tuple(range(40, 80))
    assert len(found.allowance.cpus) == 80
    one = read_windows(WindowsAnswers(processors=data, groups=(1,)))
    assert one.allowance.cpus == tuple(range(40, 80))
    masked = read_windows(WindowsAnswers(processors=data, groups=(1,), process_mask=0b101))
    assert masked.allowance.cpus == (40, 42)


def test_windows_knows_three_kinds() -> None:
    data = b"".join(windows_core(1 << cpu, grade) for cpu, grade in enumerate((2, 1, 0)))
    found = read_windows(WindowsAnswers(processors=data))
    assert found.topology.kinds == ("performance", "efficiency", "low-power")


@pytest.mark.parametrize("data", [b"", b"\0" * 5, struct.pack("<II", 0, 0), bytes(64)])
def test_windows_counts_cpus_where_it_is_told_nothing(data: bytes) -> None:
    found = read_windows(WindowsAnswers(processors=data, cpu_count=4))
    assert [core.cpus for core in found.topology.cores] == [(0,), (1,), (2,), (3,)]
    assert found.notes == ("Windows does not say what cores it has: each of 4 CPUs counts as one",)


def test_windows_survives_records_that_are_cut() -> None:
    whole = windows_laptop().processors
    for size in range(0, len(whole), 7):
        assert read_windows(WindowsAnswers(processors=whole[:size])).topology.cores
