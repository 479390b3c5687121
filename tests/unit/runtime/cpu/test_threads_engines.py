"""The plan where a machine has several nodes, or runs several engines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.machines import two_sockets
from support.planned_machines import MACHINES, plan_of, told

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.cpu.linux import read_linux
from nanoaccel.runtime.cpu.threads import plan_threads
from nanoaccel.runtime.cpu.workload import Workload


def test_plan_for_replicas_takes_a_node_each(tmp_path: Path) -> None:
    machine = MACHINES["two sockets"](tmp_path)
    plans = [plan_of(machine, engines=2, engine=engine) for engine in range(2)]
    assert [(plan.node, plan.bind_memory, plan.threads) for plan in plans] == [
        (0, True, 28),
        (1, True, 28),
    ]
    assert [plan.cpus for plan in plans] == [tuple(range(28)), tuple(range(28, 56))]
    assert [(plan.pin, plan.spinning) for plan in plans] == [(False, "pass")] * 2


def test_plan_for_engines_on_a_node_shares_it(tmp_path: Path) -> None:
    machine = MACHINES["two sockets"](tmp_path)
    plans = [plan_of(machine, engines=3, engine=engine) for engine in range(3)]
    assert [(plan.node, plan.threads) for plan in plans] == [(0, 14), (1, 28), (0, 14)]
    assert not set(plans[0].cpus).intersection(plans[2].cpus)
    assert "share 14 of 28 cores: 2 engines share them" in told(plans[0])


def test_plan_for_more_engines_than_cores_never_spins(tmp_path: Path) -> None:
    machine = MACHINES["four nodes"](tmp_path)
    plans = [plan_of(machine, engines=40, engine=engine) for engine in range(40)]
    assert {plan.threads for plan in plans} == {1}
    machine = MACHINES["hybrid laptop"](tmp_path / "b")
    plans = [plan_of(machine, engines=8, engine=engine, threads=2) for engine in range(8)]
    assert {plan.spinning for plan in plans} == {"never"}


def test_plan_divides_a_quota_among_engines(tmp_path: Path) -> None:
    plan = plan_of(MACHINES["quota of 3.5, v1"](tmp_path), engines=2, engine=1)
    assert plan.threads == 1
    assert "the quota is 1.75 CPUs, of 3.5 for all engines" in told(plan)


def test_plan_keeps_to_the_node_that_is_asked(tmp_path: Path) -> None:
    machine = MACHINES["two sockets"](tmp_path)
    plan = plan_of(machine, node=1)
    assert (plan.node, plan.cpus) == (1, tuple(range(28, 56)))
    assert "node 1: as the option says" in told(plan)
    with pytest.raises(ConfigError, match=r"node=2 is none .* Choose one of 0-1"):
        plan_of(machine, node=2)


def test_plan_takes_the_node_with_more_allowed_cores(tmp_path: Path) -> None:
    machine = read_linux(two_sockets(allowed=(0, 1, 56, 57, 28, 29, 30)).write(tmp_path))
    assert plan_of(machine).cpus == (28, 29, 30)


def test_plan_knows_the_node_that_alone_is_allowed(tmp_path: Path) -> None:
    machine = read_linux(two_sockets(allowed=(28, 29)).write(tmp_path))
    plan = plan_of(machine)
    assert (plan.node, plan.bind_memory, plan.bind_cpus) == (1, False, False)
    assert "node 1: the only one that is allowed" in told(plan)


@pytest.mark.parametrize(
    ("memory_nodes", "needed", "bound", "reason"),
    [
        (None, None, True, "memory is bound to it"),
        ((0, 1), 1 << 30, True, "memory is bound to it"),
        ((1,), None, False, "its memory is not allowed"),
        (None, 100 << 30, False, "more than the node has"),
    ],
)
def test_plan_binds_memory_where_it_can(
    memory_nodes: tuple[int, ...] | None,
    needed: int | None,
    bound: bool,
    reason: str,
    tmp_path: Path,
) -> None:
    machine = MACHINES["two sockets"](tmp_path)
    allowance = replace(machine.allowance, memory_nodes=memory_nodes)
    plan = plan_threads(machine.topology, allowance, Workload(memory=needed))
    assert (plan.node, plan.bind_memory) == (0, bound)
    assert reason in told(plan)


def test_plan_avoids_a_node_without_memory(tmp_path: Path) -> None:
    machine = MACHINES["two sockets"](tmp_path)
    first, second = machine.topology.nodes
    topology = replace(machine.topology, nodes=(replace(first, memory=0), second))
    assert plan_threads(topology, machine.allowance, Workload()).node == 1
    plan = plan_threads(topology, machine.allowance, Workload(node=0))
    assert not plan.bind_memory


def test_plan_leaves_its_node_when_told_to(tmp_path: Path) -> None:
    plan = plan_of(MACHINES["two sockets"](tmp_path), threads=60)
    assert (plan.threads, plan.node, plan.bind_memory) == (60, None, False)
    assert "node several: a node alone has not so many CPUs; memory is not bound" in told(plan)
