"""The plan of each machine, as it was reviewed, and what holds for all."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.machines import (
    AVX512,
    Cores,
    Linux,
    arm_board,
    desktop,
    four_nodes,
    hybrid_laptop,
    mac_intel,
    mac_m3,
    two_sockets,
    windows_laptop,
)

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.cpu import threads as threads_module
from nanoaccel.runtime.cpu.linux import read_linux
from nanoaccel.runtime.cpu.macos import read_macos
from nanoaccel.runtime.cpu.threads import core_count, plan_here, plan_threads
from nanoaccel.runtime.cpu.topology import Allowance, Core, Machine, Node, Topology
from nanoaccel.runtime.cpu.windows import read_windows
from nanoaccel.runtime.cpu.workload import ThreadPlan, Workload

GROUP = ("proc/self/cgroup", "0::/box\n3:cpuset:/box\n1:cpu,cpuacct:/box\n")
QUOTA_V2 = (GROUP, ("sys/fs/cgroup/box/cpu.max", "150000 100000\n"))
QUOTA_V1 = (
    GROUP,
    ("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "350000\n"),
    ("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n"),
)
ODD = (GROUP, ("sys/fs/cgroup/box/cpuset.cpus.effective", "1,3,5,7,9,11,13,15\n"))
MACHINES: dict[str, Callable[[Path], Machine]] = {
    "desktop": lambda root: read_linux(desktop().write(root)),
    "hybrid laptop": lambda root: read_linux(hybrid_laptop().write(root)),
    "efficiency cores only": lambda root: read_linux(
        hybrid_laptop(allowed=range(12, 16)).write(root)
    ),
    "low-power cores only": lambda root: read_linux(hybrid_laptop(allowed=(20, 21)).write(root)),
    "two sockets": lambda root: read_linux(two_sockets().write(root)),
    "four nodes": lambda root: read_linux(four_nodes().write(root)),
    "SMT off": lambda root: read_linux(Linux(cores=[Cores(count=8)], flags=AVX512).write(root)),
    "ARM board": lambda root: read_linux(arm_board().write(root)),
    "quota of 1.5, v2": lambda root: read_linux(desktop(files=QUOTA_V2).write(root)),
    "quota of 3.5, v1": lambda root: read_linux(desktop(files=QUOTA_V1).write(root)),
    "odd cpuset": lambda root: read_linux(desktop(files=ODD).write(root)),
    "offline": lambda root: read_linux(desktop(offline=(0, 1, 8, 10)).write(root)),
    "VM that hides all": lambda root: read_linux(
        desktop(hides=True, allowed=(0, 1, 2, 3)).write(root)
    ),
    "one CPU": lambda root: read_linux(desktop(allowed=(9,)).write(root)),
    "Windows": lambda _: read_windows(windows_laptop()),
    "Windows, one kind": lambda _: read_windows(windows_laptop(process_mask=0xF0)),
    "Mac M3": lambda _: read_macos(mac_m3()),
    "Mac Intel": lambda _: read_macos(mac_intel()),
}
# Threads, CPUs, kind of cores to ask for, whether to bind, spinning, precision; a reason.
EXPECTED: dict[str, tuple[int, tuple[int, ...], str, bool, str, str, str]] = {
    "desktop": (8, tuple(range(8)), "any", False, "pass", "bf16", "smt no: one thread of a"),
    "hybrid laptop": (
        *(6, (0, 2, 4, 6, 8, 10), "performance", True, "pass", "f32"),
        "8 efficiency cores and 2 low-power cores left out: at every barrier",
    ),
    "efficiency cores only": (
        *(4, (12, 13, 14, 15), "any", False, "pass", "f32"),
        "cores 4 efficiency cores: no others are allowed",
    ),
    "low-power cores only": (2, (20, 21), "any", False, "pass", "f32", "no others are allowed"),
    "two sockets": (
        *(28, tuple(range(28)), "any", True, "pass", "bf16"),
        "node 0: one engine stays on one of 2 nodes, near its memory; memory is bound to it",
    ),
    "four nodes": (8, tuple(range(8)), "any", True, "pass", "bf16", "one of 4 nodes"),
    "SMT off": (8, tuple(range(8)), "any", False, "pass", "bf16", "threads 8: one for each core"),
    "ARM board": (
        *(4, (4, 5, 6, 7), "performance", True, "pass", "f16"),
        "4 efficiency cores left out",
    ),
    "quota of 1.5, v2": (
        *(1, tuple(range(8)), "any", False, "never", "bf16"),
        "threads 1: the quota is 1.5 CPUs: more threads would be stopped while others wait",
    ),
    "quota of 3.5, v1": (
        *(3, tuple(range(8)), "any", False, "never", "bf16"),
        "spinning never: waiting busily would spend the quota",
    ),
    "odd cpuset": (4, (1, 3, 5, 7), "any", False, "pass", "bf16", "threads 4: one for each"),
    "offline": (
        *(7, (9, 2, 3, 4, 5, 6, 7), "any", False, "pass", "bf16"),
        "threads 7: one for each core",
    ),
    "VM that hides all": (4, (0, 1, 2, 3), "any", False, "pass", "bf16", "all are alike"),
    "one CPU": (1, (9,), "any", False, "never", "bf16", "one thread waits for no other"),
    "Windows": (2, (0, 2), "performance", True, "pass", "f32", "Windows places threads better"),
    "Windows, one kind": (4, (4, 5, 6, 7), "any", False, "pass", "f32", "no others are allowed"),
    "Mac M3": (6, tuple(range(6)), "performance", False, "pass", "f16", "macOS places threads"),
    "Mac Intel": (6, (0, 2, 4, 6, 8, 10), "any", False, "pass", "f32", "smt no"),
}


def told(plan: ThreadPlan) -> str:
    return "\n".join(map(str, plan.reasons))


def plan_of(machine: Machine, **workload: Any) -> ThreadPlan:
    return plan_threads(machine.topology, machine.allowance, Workload(**workload))


@pytest.mark.parametrize("name", MACHINES)
def test_plan_of_a_machine_for_decoding(name: str, tmp_path: Path) -> None:
    plan = plan_of(MACHINES[name](tmp_path))
    *values, reason = EXPECTED[name]
    assert [
        *(plan.threads, tuple(sorted(plan.cpus)), plan.core_choice),
        *(plan.bind_cpus, plan.spinning, plan.precision),
    ] == [values[0], tuple(sorted(values[1])), *values[2:]]  # type: ignore[arg-type]
    assert reason in told(plan)
    assert not plan.smt
    assert plan.warnings == ()


@pytest.mark.parametrize("name", MACHINES)
def test_plan_gives_a_reason_for_each_choice(name: str, tmp_path: Path) -> None:
    machine = MACHINES[name](tmp_path)
    for role in ("decode", "prefill", "draft"):
        plan = plan_of(machine, role=role)
        choices = [reason.choice for reason in plan.reasons if reason.choice != "smt"]
        assert choices == [
            *("node", "cores", "threads", "pinning", "spinning"),
            *("precision", "quantization group"),
        ]
        assert all("\n" not in str(reason) for reason in plan.reasons)


def test_plan_for_prefill_takes_small_cores_where_they_add_speed(tmp_path: Path) -> None:
    hybrid = plan_of(MACHINES["hybrid laptop"](tmp_path / "a"), role="prefill")
    assert (hybrid.threads, hybrid.core_choice, hybrid.bind_cpus) == (14, "any", True)
    assert not {20, 21}.intersection(hybrid.cpus)
    assert "even parts at the pace of the small ones beat 6 big ones alone" in told(hybrid)
    board = plan_of(MACHINES["ARM board"](tmp_path / "b"), role="prefill")
    assert board.threads == 4  # 8 at 381/1024 are fewer than 4 at full speed
    assert "left out" in told(board)


def test_plan_for_a_draft_is_small_and_lets_go(tmp_path: Path) -> None:
    plan = plan_of(MACHINES["two sockets"](tmp_path), role="draft")
    assert (plan.threads, plan.spinning, plan.pin) == (8, "pass", False)
    assert "threads 8: a draft's passes are short" in told(plan)


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


def test_plan_leaves_its_node_when_told_to(tmp_path: Path) -> None:
    plan = plan_of(MACHINES["two sockets"](tmp_path), threads=60)
    assert (plan.threads, plan.node, plan.bind_memory) == (60, None, False)
    assert "node several: a node alone has not so many CPUs; memory is not bound" in told(plan)


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


def test_plan_computes_in_what_is_asked(tmp_path: Path) -> None:
    machine = MACHINES["desktop"](tmp_path)
    exact = plan_of(machine, precision="f32", weight_group_size=64)
    assert (exact.precision, exact.quantization_group) == ("f32", 0)
    fast = plan_of(machine, weight_group_size=64)
    assert (fast.precision, fast.quantization_group) == ("bf16", 64)
    assert "quantization group 64: as large as the groups of the weights" in told(fast)
    chosen = plan_of(machine, weight_group_size=64, quantization_group=32)
    assert chosen.quantization_group == 32
    exact = plan_of(machine, precision="f32", quantization_group=32)
    assert exact.quantization_group == 0


def test_plan_distrusts_bf16_on_zen_5(tmp_path: Path) -> None:
    machine = read_linux(desktop(family=26).write(tmp_path))
    assert plan_of(machine).precision == "f32"
    assert "openvino#38256" in told(plan_of(machine))
    assert plan_of(machine, precision="bf16").precision == "bf16"


def test_plan_leaves_precision_to_the_runtime_where_little_is_known() -> None:
    machine = read_windows(windows_laptop(instructions=("avx2", "avx512f")))
    assert plan_of(machine).precision is None


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
