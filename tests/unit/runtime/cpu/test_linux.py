"""What is read of constructed Linux machines."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from support.machines import (
    AMX,
    AVX2,
    AVX512,
    Cores,
    Linux,
    arm_board,
    desktop,
    four_nodes,
    hybrid_laptop,
    put,
    two_sockets,
)

from nanoaccel.runtime.cpu import machine as machine_module
from nanoaccel.runtime.cpu.linux import read_linux
from nanoaccel.runtime.cpu.machine import cpu_name, read_machine, this_machine
from nanoaccel.runtime.cpu.topology import Cache, Machine, Node

V2 = ("proc/self/cgroup", "0::/pod/box\n")
V1 = ("proc/self/cgroup", "4:memory:/box\n3:cpuset:/box\n1:cpu,cpuacct:/box\n")


def quota_v2(text: str, folder: str = "pod/box") -> tuple[tuple[str, str], ...]:
    return (V2, (f"sys/fs/cgroup/{folder}/cpu.max", text))


def quota_v1(quota: str, period: str = "100000") -> tuple[tuple[str, str], ...]:
    folder = "sys/fs/cgroup/cpu,cpuacct/box"
    return (V1, (f"{folder}/cpu.cfs_quota_us", quota), (f"{folder}/cpu.cfs_period_us", period))


def test_linux_reads_a_desktop(tmp_path: Path) -> None:
    found = read_linux(desktop(name="A Ryzen").write(tmp_path))
    topology = found.topology
    assert (topology.name, topology.vendor, topology.family) == ("A Ryzen", "AuthenticAMD", 25)
    assert topology.instructions == ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16")
    assert [core.cpus for core in topology.cores] == [(cpu, cpu + 8) for cpu in range(8)]
    assert [core.id for core in topology.cores] == list(range(8))
    assert {(core.kind, core.max_mhz, core.node) for core in topology.cores} == {
        ("performance", 5000, 0)
    }
    assert topology.caches_of(topology.cores[3]) == (
        Cache(1, "data", 32 << 10, (3, 11)),
        Cache(2, "unified", 1 << 20, (3, 11)),
        Cache(3, "unified", 32 << 20, tuple(range(16))),
    )
    assert topology.nodes == (Node(0, tuple(range(16)), 64 << 30),)
    assert found.allowance.cpus == tuple(range(16))
    assert (found.allowance.quota, found.allowance.memory, found.notes) == (None, None, ())


def test_linux_reads_kinds_of_a_hybrid(tmp_path: Path) -> None:
    topology = read_linux(hybrid_laptop().write(tmp_path)).topology
    assert topology.kinds == ("performance", "efficiency", "low-power")
    assert [core.kind for core in topology.cores] == (
        ["performance"] * 6 + ["efficiency"] * 8 + ["low-power"] * 2
    )
    assert topology.caches_of(topology.cores[7])[1].cpus == (12, 13, 14, 15)


def test_linux_before_6_13_knows_low_power_cores_by_their_cache(tmp_path: Path) -> None:
    cores = [
        Cores(count=2, smt=2, counter="cpu_core"),
        Cores(count=4, counter="cpu_atom"),
        Cores(count=2, counter="cpu_atom", l3=None),
    ]
    kinds = [c.kind for c in read_linux(Linux(cores=cores).write(tmp_path)).topology.cores]
    assert kinds == ["performance"] * 2 + ["efficiency"] * 4 + ["low-power"] * 2


def test_linux_reads_kinds_from_capacity(tmp_path: Path) -> None:
    topology = read_linux(arm_board().write(tmp_path)).topology
    assert [core.kind for core in topology.cores] == ["efficiency"] * 4 + ["performance"] * 4
    assert (topology.name, topology.vendor) == ("A board", "ARM")
    assert topology.instructions == ("asimd", "asimdhp", "asimddp", "i8mm", "bf16")


def test_linux_keeps_the_middle_cluster_of_a_phone_with_the_fast_one(tmp_path: Path) -> None:
    cores = [Cores(count=n, capacity=c) for n, c in ((4, 250), (3, 870), (1, 1024))]
    topology = read_linux(Linux(cores=cores).write(tmp_path)).topology
    assert [core.kind for core in topology.cores] == ["efficiency"] * 4 + ["performance"] * 4


@pytest.mark.parametrize(("slow", "kind"), [(3300, "efficiency"), (4800, "performance")])
def test_linux_reads_kinds_from_frequency(slow: int, kind: str, tmp_path: Path) -> None:
    cores = [Cores(count=2, mhz=5000), Cores(count=2, mhz=slow)]
    topology = read_linux(Linux(cores=cores).write(tmp_path)).topology
    assert [core.kind for core in topology.cores] == ["performance"] * 2 + [kind] * 2


def test_linux_reads_two_sockets(tmp_path: Path) -> None:
    topology = read_linux(two_sockets().write(tmp_path)).topology
    assert topology.packages == (0, 1)
    assert len(topology.cores) == 56
    assert [node.id for node in topology.nodes] == [0, 1]
    assert topology.nodes[1].cpus == (*range(28, 56), *range(84, 112))
    assert "amx_bf16" in topology.instructions


def test_linux_reads_four_nodes_in_a_socket(tmp_path: Path) -> None:
    topology = read_linux(four_nodes().write(tmp_path)).topology
    assert (topology.packages, len(topology.nodes)) == ((0,), 4)
    assert {len(cache.cpus) for cache in topology.caches if cache.level == 3} == {8}


def test_linux_leaves_out_what_is_offline(tmp_path: Path) -> None:
    found = read_linux(desktop(offline=(1, 9, 10)).write(tmp_path))
    assert [core.cpus for core in found.topology.cores] == [
        *((0, 8), (2,), (3, 11), (4, 12), (5, 13), (6, 14), (7, 15))
    ]
    assert all(1 not in cache.cpus for cache in found.topology.caches)
    assert found.notes == ()


def test_linux_counts_cpus_where_a_machine_hides_all(tmp_path: Path) -> None:
    found = read_linux(desktop(hides=True, allowed=(0, 2, 5)).write(tmp_path))
    assert [core.cpus for core in found.topology.cores] == [(0,), (2,), (5,)]
    assert found.topology.nodes == (Node(0, (0, 2, 5), None),)
    assert found.notes == (
        "this machine hides which CPUs share a core: each of its 3 CPUs counts as one",
    )


def test_linux_without_anything_still_finds_a_machine(tmp_path: Path) -> None:
    found = read_linux(tmp_path)
    assert found.topology.cores
    assert found.topology.name
    assert found.topology.instructions == ()
    assert len(found.notes) == 1


def test_linux_without_a_list_looks_at_the_folders(tmp_path: Path) -> None:
    root = desktop(offline=(3,)).write(tmp_path)
    (root / "sys/devices/system/cpu/online").unlink()
    assert 3 not in read_linux(root).topology.cpus
    assert len(read_linux(root).topology.cpus) == 15


def test_linux_takes_cpus_apart_that_do_not_agree(tmp_path: Path) -> None:
    siblings = "sys/devices/system/cpu/cpu8/topology/thread_siblings_list"
    found = read_linux(desktop(files=((siblings, "8-9\n"),)).write(tmp_path))
    cores = {core.cpus for core in found.topology.cores}
    assert {(0,), (8,), (1, 9)} <= cores
    assert found.notes == ("CPUs 0,8 do not agree who shares a core: each counts as one",)


def test_linux_survives_garbage(tmp_path: Path) -> None:
    garbage = (
        ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "zero\n"),
        ("sys/devices/system/cpu/cpu0/topology/physical_package_id", "-1\n"),
        ("sys/devices/system/cpu/cpu0/cache/index0/size", "big\n"),
        ("sys/devices/system/cpu/cpu0/cache/index1/level", "\n"),
        ("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "0\n"),
        ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,9-99999999\n"),
        ("sys/devices/system/node/node0/meminfo", "Node 0\n"),
        ("proc/cpuinfo", "cpu family\t: six\n\nflags: avx2\n"),
        ("proc/self/cgroup", "nonsense\n\n0::/../../out\n"),
        ("sys/fs/cgroup/cpu.max", "max\n"),
    )
    found = read_linux(desktop(files=garbage).write(tmp_path))
    assert len(found.topology.cpus) == 16
    assert found.topology.cores[0].package == 0
    assert found.topology.cores[0].max_mhz is None
    assert found.topology.nodes[0].memory is None
    assert found.allowance.quota is None


def test_linux_puts_each_cpu_in_one_node(tmp_path: Path) -> None:
    nodes = "sys/devices/system/node"
    lists = ((f"{nodes}/node0/cpulist", "0-5,8-13\n"), (f"{nodes}/node1/cpulist", "4-5,12-13\n"))
    found = read_linux(desktop(files=lists).write(tmp_path))
    assert [node.id for node in found.topology.nodes] == [0]
    assert found.topology.nodes[0].cpus == tuple(range(16))
    assert found.notes == (
        "CPUs of NUMA node 1 are in another node too",
        "CPUs 6-7,14-15 are in no NUMA node",
    )


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        (quota_v2("150000 100000\n"), 1.5),
        (quota_v2("50000 100000\n", "pod"), 0.5),
        (quota_v2("max 100000\n"), None),
        (quota_v1("250000\n"), 2.5),
        (quota_v1("-1\n"), None),
        ((("sys/fs/cgroup/cpu.max", "100000 100000"),), 1.0),
        ((("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "30000"), quota_v1("1")[2]), None),
    ],
)
def test_linux_reads_the_quota(
    files: tuple[tuple[str, str], ...], quota: float | None, tmp_path: Path
) -> None:
    found = read_linux(desktop(files=files).write(tmp_path))
    assert found.allowance.quota == quota
    assert found.notes == ()


def test_linux_takes_the_tightest_quota(tmp_path: Path) -> None:
    files = (*quota_v2("400000 100000"), *quota_v2("200000 100000", "pod"))
    assert read_linux(desktop(files=files).write(tmp_path)).allowance.quota == 2


@pytest.mark.parametrize("files", [quota_v2("0 100000"), quota_v1("0"), quota_v1("10", "0")])
def test_linux_ignores_a_quota_that_cannot_be(
    files: tuple[tuple[str, str], ...], tmp_path: Path
) -> None:
    found = read_linux(desktop(files=files).write(tmp_path))
    assert found.allowance.quota is None
    (note,) = found.notes
    assert note.startswith("the CPU quota ")
    assert note.endswith(" cannot be: ignored")


def test_linux_reads_cpuset_and_memory(tmp_path: Path) -> None:
    files = (
        V2,
        ("sys/fs/cgroup/pod/box/cpuset.cpus.effective", "1,3,5,7\n"),
        ("sys/fs/cgroup/pod/memory.max", "4294967296\n"),
        ("sys/fs/cgroup/memory.max", "max\n"),
    )
    allowance = read_linux(desktop(files=files).write(tmp_path)).allowance
    assert allowance.cpus == allowance.cpuset == (1, 3, 5, 7)
    assert allowance.memory == 4 << 30


def test_linux_reads_a_cpuset_of_v1(tmp_path: Path) -> None:
    files = (V1, ("sys/fs/cgroup/cpuset/box/cpuset.cpus", "2-3\n"))
    assert read_linux(desktop(files=files).write(tmp_path)).allowance.cpus == (2, 3)


def test_linux_ignores_an_empty_cpuset(tmp_path: Path) -> None:
    files = (V2, ("sys/fs/cgroup/pod/box/cpuset.cpus.effective", "\n"))
    found = read_linux(desktop(files=files).write(tmp_path))
    assert found.allowance.cpuset is None
    assert len(found.allowance.cpus) == 16
    assert len(found.notes) == 1
    assert found.notes[0].endswith("cpuset.cpus.effective is empty: ignored")


def test_linux_trusts_the_mask_against_the_cpuset(tmp_path: Path) -> None:
    files = (V2, ("sys/fs/cgroup/pod/box/cpuset.cpus.effective", "8-9\n"))
    found = read_linux(desktop(allowed=(0, 1), files=files).write(tmp_path))
    assert found.allowance.cpus == (0, 1)
    assert found.notes == (
        "the cpuset 8-9 and the affinity mask 0-1 have no CPU in common: the mask counts",
    )


def test_linux_takes_all_when_the_mask_is_offline(tmp_path: Path) -> None:
    found = read_linux(desktop(allowed=(1,), offline=(1,)).write(tmp_path))
    assert len(found.allowance.cpus) == 15
    assert found.notes == ("none of the CPUs of the affinity mask is online: all are taken",)


def test_linux_reads_the_nodes_of_memory(tmp_path: Path) -> None:
    status = "Cpus_allowed_list:\t0-3\nMems_allowed_list:\t0\n"
    root = two_sockets(files=(("proc/self/status", status),)).write(tmp_path)
    assert read_linux(root).allowance.memory_nodes == (0,)


def test_linux_takes_instructions_that_all_cores_have(tmp_path: Path) -> None:
    text = f"flags: {AMX}\n\nflags: {AVX512}\n\nflags: {AVX2} avx512f\n"
    root = desktop(files=(("proc/cpuinfo", text),)).write(tmp_path)
    assert read_linux(root).topology.instructions == ("avx2", "fma", "avx512f")


def test_this_machine_says_once_what_it_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hidden = read_linux(desktop(hides=True, name="A VM").write(tmp_path))

    def read() -> Machine:
        return hidden

    monkeypatch.setattr(machine_module, "read_machine", read)
    this_machine.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, logger="nanoaccel"):
            assert this_machine() is this_machine() is hidden
            assert cpu_name() == "A VM"
    finally:
        this_machine.cache_clear()
    assert [record.getMessage() for record in caplog.records] == [
        "cpu: this machine hides which CPUs share a core: each of its 16 CPUs counts as one"
    ]


def test_read_machine_reads_this_one(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/status", "Cpus_allowed_list:\t0\n")
    assert read_machine().topology.cores
    assert read_machine().allowance.cpus
