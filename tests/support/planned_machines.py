"""Machines of many kinds, and their plans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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

from nanoaccel.runtime.cpu.linux import read_linux
from nanoaccel.runtime.cpu.macos import read_macos
from nanoaccel.runtime.cpu.threads import plan_threads
from nanoaccel.runtime.cpu.topology import Machine
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


def told(plan: ThreadPlan) -> str:
    """All reasons of a plan."""
    return "\n".join(map(str, plan.reasons))


def plan_of(machine: Machine, **workload: Any) -> ThreadPlan:
    """The plan for a machine, without a look at the environment."""
    return plan_threads(machine.topology, machine.allowance, Workload(**workload))
