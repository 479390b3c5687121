"""What is read of macOS' answers."""

from __future__ import annotations

from support.machines import mac_intel, mac_m3

from nanoaccel.runtime.cpu.macos import read_macos
from nanoaccel.runtime.cpu.topology import Cache, Node


def test_macos_reads_performance_levels() -> None:
    found = read_macos(mac_m3())
    topology = found.topology
    assert (topology.system, topology.name, topology.vendor) == ("macos", "Apple M3 Pro", "Apple")
    assert [core.kind for core in topology.cores] == ["performance"] * 6 + ["efficiency"] * 6
    assert topology.cpus == tuple(range(12))
    assert topology.instructions == ("asimd", "asimdhp", "asimddp", "i8mm")
    assert topology.nodes == (Node(0, tuple(range(12)), 18 << 30),)
    assert topology.caches_of(topology.cores[8]) == (
        Cache(2, "unified", 4 << 20, tuple(range(6, 12))),
    )
    assert Cache(1, "data", 128 << 10, (2,)) in topology.caches
    assert (found.allowance.cpus, found.notes) == (tuple(range(12)), ())


def test_macos_reads_an_intel_mac() -> None:
    topology = read_macos(mac_intel()).topology
    assert [core.cpus for core in topology.cores] == [(n, n + 1) for n in range(0, 12, 2)]
    assert topology.kinds == ("performance",)
    assert (topology.vendor, topology.family) == ("GenuineIntel", 6)
    assert topology.instructions == ("avx2", "fma")
    assert {(cache.level, len(cache.cpus)) for cache in topology.caches} == {(2, 2), (3, 12)}


def test_macos_counts_all_cores_where_a_level_is_silent() -> None:
    topology = read_macos(mac_m3(**{"hw.perflevel1.physicalcpu": 0})).topology
    assert len(topology.cores) == 12
    assert topology.kinds == ("performance",)


def test_macos_counts_cpus_where_it_is_told_nothing() -> None:
    found = read_macos(lambda _: None)
    assert found.topology.cores
    assert len(found.notes) == 1
    assert found.notes[0].startswith("this Mac does not say what cores it has")
