from __future__ import annotations

from pathlib import Path

import pytest
from support.machines import desktop, four_nodes, hybrid_laptop, put, two_sockets

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.cpu.engines import engine_plans, engines_for
from nanoaccel.runtime.cpu.linux import read_linux
from nanoaccel.runtime.cpu.topology import Machine


def quota(cpus: int) -> tuple[tuple[str, str], ...]:
    return (
        ("proc/self/cgroup", "0::/box\n"),
        ("sys/fs/cgroup/box/cpu.max", f"{cpus * 100000} 100000\n"),
    )


def auto(machine: Machine) -> int:
    return engines_for(machine, None, {})


def test_engines_are_one_for_each_node(tmp_path: Path) -> None:
    assert auto(read_linux(two_sockets().write(tmp_path / "a"))) == 2
    assert auto(read_linux(four_nodes().write(tmp_path / "b"))) == 4
    assert auto(read_linux(desktop().write(tmp_path / "c"))) == 1
    assert auto(read_linux(hybrid_laptop().write(tmp_path / "d"))) == 1
    assert auto(read_linux(desktop(hides=True).write(tmp_path / "e"))) == 1


def test_engines_are_on_nodes_that_may_be_used(tmp_path: Path) -> None:
    assert auto(read_linux(two_sockets(allowed=range(4, 12)).write(tmp_path / "a"))) == 1
    assert auto(read_linux(two_sockets(allowed=[3, 30]).write(tmp_path / "b"))) == 2


def test_engines_are_on_nodes_with_memory(tmp_path: Path) -> None:
    two_sockets().write(tmp_path)
    put(tmp_path, "sys/devices/system/node/node1/meminfo", "Node 1 MemTotal:       0 kB\n")
    assert auto(read_linux(tmp_path)) == 1


@pytest.mark.parametrize(("cpus", "engines"), [(1, 1), (28, 1), (29, 2), (100, 2)])
def test_engines_are_no_more_than_a_quota_keeps_busy(
    tmp_path: Path, cpus: int, engines: int
) -> None:
    assert auto(read_linux(two_sockets(files=quota(cpus)).write(tmp_path))) == engines


def test_engines_are_one_where_threads_are_set(tmp_path: Path) -> None:
    machine = read_linux(two_sockets().write(tmp_path))
    assert engines_for(machine, 8, {}) == 1
    assert engines_for(machine, None, {"NANOACCEL_THREADS": "8"}) == 1
    assert engines_for(machine, None, {"NANOACCEL_THREADS": " "}) == 2


def test_engine_plans_take_a_node_each(tmp_path: Path) -> None:
    machine = read_linux(four_nodes().write(tmp_path))
    plans = engine_plans(machine, 4, None, {})
    assert [plan.cpus for plan in plans] == [
        tuple(range(8 * node, 8 * node + 8)) for node in range(4)
    ]
    assert [(plan.node, plan.bind_cpus, plan.bind_memory) for plan in plans] == [
        (node, True, True) for node in range(4)
    ]
    assert [plan.threads for plan in plans] == [8] * 4


def test_engine_plans_share_a_node_without_overlap(tmp_path: Path) -> None:
    machine = read_linux(desktop().write(tmp_path))
    first, second = engine_plans(machine, 2, None, {})
    assert set(first.cpus).isdisjoint(second.cpus)
    assert (first.threads, second.threads, first.node) == (4, 4, None)
    assert [plan.threads for plan in engine_plans(machine, 2, 3, {})] == [3, 3]


def test_engine_plans_are_no_more_than_cpus(tmp_path: Path) -> None:
    machine = read_linux(desktop(allowed=[0, 1]).write(tmp_path))
    with pytest.raises(ConfigError, match="replicas=3 is more than the 2 CPUs"):
        engine_plans(machine, 3, None, {})
