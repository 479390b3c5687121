"""Keeping a thread, and those it will start, to CPUs and to a NUMA node's memory."""

from __future__ import annotations

import ctypes
import os
import platform

from nanoaccel.runtime.cpu.workload import ThreadPlan

_SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237}
_MPOL_BIND = 2
_MOST_NODES = 1024
_BITS = 64


def bind_thread(plan: ThreadPlan) -> list[str]:
    """Bind the calling thread as a plan says; threads started by it later inherit that.

    To be called before a graph is loaded, in the thread that loads it: memory is placed where it
    is first written. For OpenVINO that must be before anything of it is used in the process, so
    engines on several nodes need a process each.

    Returns:
        A line for each thing that the system refused; what was refused stays as it was.
    """
    refused = []
    if plan.bind_cpus:
        try:
            os.sched_setaffinity(0, plan.cpus)
        except (AttributeError, OSError) as error:
            refused.append(f"threads are not kept to CPUs {plan.cpus}: {error}")
    if plan.bind_memory and plan.node is not None:
        problem = _bind_memory(plan.node)
        if problem is not None:
            refused.append(f"memory is not bound to NUMA node {plan.node}: {problem}")
    return refused


def _bind_memory(node: int) -> str | None:
    """Allocate on one node only; gives what went wrong."""
    number = _SET_MEMPOLICY.get(platform.machine())
    if platform.system() != "Linux" or number is None:
        return "only Linux can"
    words = (ctypes.c_uint64 * (_MOST_NODES // _BITS))()
    words[node // _BITS] = 1 << node % _BITS
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(
        ctypes.c_long(number),
        ctypes.c_int(_MPOL_BIND),
        words,
        ctypes.c_ulong(_MOST_NODES),
    )
    return None if result == 0 else os.strerror(ctypes.get_errno())
