"""The plan of each machine, as it was reviewed."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.machines import desktop, windows_laptop
from support.planned_machines import MACHINES, plan_of, told

from nanoaccel.runtime.cpu.linux import read_linux
from nanoaccel.runtime.cpu.windows import read_windows

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
