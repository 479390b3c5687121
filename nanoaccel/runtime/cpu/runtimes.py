"""A ``ThreadPlan`` in the words of each runtime. None of them is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from nanoaccel.runtime.cpu.workload import ThreadPlan

_CORE_TYPES = {"any": "ANY_CORE", "performance": "PCORE_ONLY", "efficiency": "ECORE_ONLY"}


@dataclass(frozen=True, slots=True)
class OnnxRuntimeOptions:
    """What to set on ``SessionOptions``: two attributes, and config entries by name."""

    intra_op_num_threads: int
    inter_op_num_threads: int
    config_entries: dict[str, str]


class Torch(Protocol):
    """What is used of torch here."""

    def set_num_threads(self, number: int, /) -> object: ...

    def set_num_interop_threads(self, number: int, /) -> object: ...


def openvino_properties(plan: ThreadPlan) -> dict[str, object]:
    """Properties for ``compile_model`` on the CPU.

    OpenVINO takes the CPUs that its process may use when it is first used, and of them the first
    of the right kind: bind the process first where ``bind_cpus`` says so. ENABLE_CPU_RESERVATION
    is not used: a second graph in the process then finds no CPU.
    """
    properties: dict[str, object] = {
        "INFERENCE_NUM_THREADS": plan.threads,
        "SCHEDULING_CORE_TYPE": _CORE_TYPES[plan.core_choice],
        "ENABLE_CPU_PINNING": plan.pin,
        "ENABLE_HYPER_THREADING": plan.smt,
    }
    if plan.precision is not None:
        properties["INFERENCE_PRECISION_HINT"] = plan.precision
    if plan.quantization_group is not None:
        properties["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = plan.quantization_group
    return properties


def onnxruntime_options(plan: ThreadPlan) -> OnnxRuntimeOptions:
    """Options of a session.

    The calling thread is one of the threads, and is not bound by the session. ONNX Runtime counts
    CPUs from 1, wants one list for each thread of its own, and ignores names that it does not know.
    """
    entries = {
        "session.intra_op.allow_spinning": "0" if plan.spinning == "never" else "1",
        "session.force_spinning_stop": "1",
    }
    if plan.bind_cpus and plan.threads > 1:
        cpus = ",".join(str(cpu + 1) for cpu in plan.cpus)
        entries["session.intra_op_thread_affinities"] = ";".join([cpus] * (plan.threads - 1))
    return OnnxRuntimeOptions(plan.threads, 1, entries)


def apply_to_torch(plan: ThreadPlan, torch: Torch) -> None:
    """Set torch's threads; the second pool only where torch has not started it yet.

    Args:
        plan: What to set.
        torch: The module, which this package does not import.
    """
    torch.set_num_threads(plan.threads)
    try:
        torch.set_num_interop_threads(1)
    except RuntimeError:  # it runs already, and cannot be changed
        return
