"""The plan when somebody says otherwise, and what holds for all."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.planned_machines import MACHINES, plan_of, told

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.cpu import threads as threads_module
from nanoaccel.runtime.cpu.threads import core_count, plan_here, plan_threads
from nanoaccel.runtime.cpu.topology import Allowance, Core, Node, Topology
from nanoaccel.runtime.cpu.workload import Workload


@pytest.mark.parametrize(
    ("threads", "cpus", "smt"),
    [(3, {0, 2, 4, 6, 8, 10}, False), (7, {0, 2, 4, 6, 8, 10, 1}, True)],
)
def test_plan_takes_the_threads_of_the_option(
    threads: int, cpus: set[int], smt: bool, tmp_path: Path
) -> None:
    plan = plan_of(MACHINES["hybrid laptop"](tmp_path), threads=threads)
    assert (plan.threads, set(plan.cpus), plan.smt) == (threads, cpus, smt)
    assert f"threads {threads}: the option threads says so; chosen were 6" in told(plan)
    assert not plan.pin


def test_plan_may_be_told_to_exceed_a_quota(tmp_path: Path) -> None:
    plan = plan_of(MACHINES["quota of 1.5, v2"](tmp_path), threads=8)
    assert plan.threads == 8
    assert "says so, though they will stall each other; chosen were 1" in told(plan)


@pytest.mark.parametrize(
    "options",
    [
        *({"threads": value} for value in (0, -1, 17, 1.5, "8", True)),
        *({"engines": 0}, {"engine": 1}, {"engine": -1}, {"node": -1}, {"memory": -1}),
        *({"role": "train"}, {"precision": "int8"}, {"weight_group_size": 0}),
    ],
)
def test_plan_refuses_wrong_options_by_name(options: dict[str, Any], tmp_path: Path) -> None:
    machine = MACHINES["desktop"](tmp_path)
    with pytest.raises(ConfigError, match=f"^{next(iter(options))}="):
        plan_of(machine, **options)


def test_plan_takes_the_threads_of_the_environment(tmp_path: Path) -> None:
    machine = MACHINES["desktop"](tmp_path)
    variables = {"NANOACCEL_THREADS": " 3 "}
    plan = plan_threads(machine.topology, machine.allowance, Workload(), variables)
    assert (plan.threads, plan.warnings) == (3, ())
    assert "threads 3: NANOACCEL_THREADS says so; chosen were 8" in told(plan)
    plan = plan_threads(machine.topology, machine.allowance, Workload(threads=5), variables)
    assert plan.threads == 5


@pytest.mark.parametrize("value", ["many", "0", "-2", "17", "1.5", "²"])
def test_plan_ignores_a_wrong_environment(value: str, tmp_path: Path) -> None:
    machine = MACHINES["desktop"](tmp_path)
    variables = {"NANOACCEL_THREADS": value}
    plan = plan_threads(machine.topology, machine.allowance, Workload(), variables)
    assert plan.threads == 8
    assert plan.warnings == (
        f"NANOACCEL_THREADS={value!r} is ignored: it is no whole number from 1 to 16",
    )


def test_plan_uses_second_threads_when_asked(tmp_path: Path) -> None:
    plan = plan_of(MACHINES["desktop"](tmp_path), smt=True)
    assert (plan.threads, plan.smt, set(plan.cpus)) == (16, True, set(range(16)))
    assert "smt yes" in told(plan)


def test_plan_here_logs_what_it_ignores(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    machine = MACHINES["desktop"](tmp_path)
    monkeypatch.setattr(threads_module, "this_machine", lambda: machine)
    monkeypatch.setenv("NANOACCEL_THREADS", "lots")
    with caplog.at_level(logging.WARNING, logger="nanoaccel"):
        assert core_count() == plan_here(Workload()).threads == 8
    assert len(caplog.records) == 2
    assert "NANOACCEL_THREADS='lots' is ignored" in caplog.records[0].getMessage()


@st.composite
def machines(draw: st.DrawFn) -> Topology:
    kinds = st.sampled_from(["performance", "efficiency", "low-power"])
    cores: list[Core] = []
    next_cpu = 0
    for place in range(draw(st.integers(1, 12))):
        smt = draw(st.integers(1, 2))
        cpus = tuple(range(next_cpu, next_cpu + smt))
        next_cpu += smt + draw(st.integers(0, 1))
        node = draw(st.integers(0, 3))
        capacity = draw(st.none() | st.integers(0, 1024))
        cores.append(Core(place, cpus, draw(kinds), capacity, None, node, node // 2))
    nodes = tuple(
        Node(node, tuple(c for core in cores if core.node == node for c in core.cpus), size)
        for node in sorted({core.node for core in cores})
        for size in [draw(st.none() | st.integers(0, 1 << 36))]
    )
    system = draw(st.sampled_from(["linux", "windows", "macos"]))
    return Topology(system, "", "", None, "x86_64", tuple(cores), (), nodes, ("avx2",))


@settings(deadline=None)
@given(
    topology=machines(),
    data=st.data(),
    quota=st.none() | st.floats(0.01, 64),
    role=st.sampled_from(["decode", "prefill", "draft"]),
    engines=st.integers(1, 20),
    smt=st.sampled_from([None, False, True]),
)
def test_plan_never_exceeds_what_is_allowed(
    topology: Topology, data: st.DataObject, quota: float | None, role: Any, engines: int, smt: Any
) -> None:
    mask = data.draw(st.sets(st.sampled_from(topology.cpus), min_size=1))
    stray = data.draw(st.sets(st.integers(100, 103)))
    allowance = Allowance(tuple(sorted(mask | stray)), quota)
    engine = data.draw(st.integers(0, engines - 1))
    workload = Workload(role=role, engines=engines, engine=engine, smt=smt)
    plan = plan_threads(topology, allowance, workload)
    assert 1 <= plan.threads <= allowance.whole_cpus <= len(allowance.cpus)
    assert quota is None or plan.threads <= max(1, math.floor(quota))
    assert len(set(plan.cpus)) == len(plan.cpus) >= plan.threads
    assert set(plan.cpus) <= set(allowance.cpus)
    assert plan.smt <= bool(smt)
    most = len(allowance.cpus)
    forced = plan_threads(topology, allowance, replace(workload, threads=most))
    assert forced.threads == most
    assert set(forced.cpus) == set(allowance.cpus)
