"""What to do with the machine: a pure function from facts to a ``ThreadPlan``."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from types import MappingProxyType

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.cpu.machine import this_machine
from nanoaccel.runtime.cpu.placement import (
    Place,
    choose_kinds,
    choose_node,
    share,
    usable_places,
)
from nanoaccel.runtime.cpu.topology import Allowance, Topology
from nanoaccel.runtime.cpu.workload import (
    CoreChoice,
    PlannedPrecision,
    Reason,
    Spinning,
    ThreadPlan,
    Workload,
)

ENVIRONMENT = "NANOACCEL_THREADS"
# A draft's pass lasts a millisecond or two: beyond these, barriers cost more than threads save.
_DRAFT_THREADS = 8
_ZEN_5 = ("AuthenticAMD", 26)
_SYSTEMS = {"windows": "Windows", "macos": "macOS"}
_NOTHING: Mapping[str, str] = MappingProxyType({})

_log = logging.getLogger("nanoaccel.cpu")


def plan_here(workload: Workload) -> ThreadPlan:
    """The plan for this machine and this environment; logs what it ignored.

    Raises:
        ConfigError: An option has a wrong value.
    """
    machine = this_machine()
    plan = plan_threads(machine.topology, machine.allowance, workload, os.environ)
    for line in plan.warnings:
        _log.warning("%s", line)
    return plan


def core_count() -> int:
    """Threads that an engine alone on this machine decodes with."""
    return plan_here(Workload()).threads


def usable_override(environment: Mapping[str, str], most: int) -> int | None:
    """The number of threads that ``NANOACCEL_THREADS`` says; None where it says none, or no use.

    Args:
        environment: Variables.
        most: CPUs that this process may use.
    """
    value = environment.get(ENVIRONMENT, "").strip()
    return int(value) if value.isdecimal() and 1 <= int(value) <= most else None


def plan_threads(
    topology: Topology,
    allowance: Allowance,
    workload: Workload,
    environment: Mapping[str, str] = _NOTHING,
) -> ThreadPlan:
    """Decide how a graph uses a machine.

    Without an override there are never more threads than the affinity mask has cores and the
    quota has whole CPUs, and always one.

    Args:
        topology: What the machine is.
        allowance: What this process may use of it.
        workload: What for.
        environment: Variables; ``NANOACCEL_THREADS`` overrides the number of threads.

    Raises:
        ConfigError: ``threads`` is more than the CPUs that may be used, or ``node`` is none that
            may be.
    """
    reasons: list[Reason] = []
    warnings: list[str] = []
    places = usable_places(topology, allowance)
    choice = choose_node(topology, allowance, workload, places, reasons)
    kept = choose_kinds(workload, choice.places, reasons)
    own = share(choice, kept, reasons)
    firsts = [place.cpus[0] for place in own]
    siblings = [cpu for place in own for cpu in place.cpus[1:]]
    candidates = [*firsts, *siblings] if workload.smt else firsts
    fitting = _fitting(len(candidates), allowance, workload, reasons)
    wanted = _override(allowance, workload, environment, reasons, warnings)
    threads = fitting if wanted is None else wanted
    cpus = tuple(_in_order(firsts, siblings, places)[: max(threads, len(candidates))])
    used = [place for place in places if set(place.cpus).intersection(cpus)]
    smt = threads > len(used)
    _explain_smt(topology, workload, smt, reasons)
    near = len({place.core.node for place in used}) == 1
    if not near:
        why = "a node alone has not so many CPUs; memory is not bound"
        reasons[0] = Reason("node", "several", why)
    return ThreadPlan(
        threads=threads,
        cpus=cpus,
        bind_cpus=topology.system != "macos" and len(used) < len(places),
        node=choice.node if near else None,
        bind_memory=choice.bind_memory and near,
        smt=smt,
        pin=_pin(topology, allowance, workload, threads == len(firsts), reasons),
        core_choice=_core_choice(used, places),
        spinning=_spinning(allowance, choice.sharers > len(kept), threads, reasons),
        precision=_precision(topology, workload, reasons),
        quantization_group=_quantization_group(workload, reasons),
        reasons=tuple(reasons),
        warnings=tuple(warnings),
    )


def _fitting(
    candidates: int, allowance: Allowance, workload: Workload, reasons: list[Reason]
) -> int:
    """Threads without an override."""
    threads, why = candidates, "one for each core" if not workload.smt else "one for each CPU"
    if workload.role == "draft" and threads > _DRAFT_THREADS:
        threads = _DRAFT_THREADS
        why = "a draft's passes are short: with more, barriers cost more than threads save"
    if allowance.quota is not None:
        quota = allowance.quota / workload.engines
        whole = max(1, math.floor(quota))
        shared = "" if workload.engines == 1 else f", of {allowance.quota:g} for all engines"
        if whole < threads:
            threads = whole
            why = (
                f"the quota is {quota:g} CPUs{shared}: more threads would be stopped while others "
                "wait for them at a barrier"
            )
    reasons.append(Reason("threads", str(threads), why))
    return threads


def _override(
    allowance: Allowance,
    workload: Workload,
    environment: Mapping[str, str],
    reasons: list[Reason],
    warnings: list[str],
) -> int | None:
    """The number of threads that somebody insists on; the option before the environment."""
    most = len(allowance.cpus)
    threads, who = workload.threads, "the option threads"
    if threads is not None and threads > most:
        raise ConfigError(
            f"threads={threads} is more than the {most} CPUs that this process may use",
            "Lower it, or leave it out",
        )
    value = environment.get(ENVIRONMENT, "").strip()
    if threads is None and value:
        threads, who = usable_override(environment, most), ENVIRONMENT
        if threads is None:
            warnings.append(
                f"{ENVIRONMENT}={value!r} is ignored: it is no whole number from 1 to {most}"
            )
    if threads is None:
        return None
    chosen = reasons.pop()
    beyond = "" if threads <= allowance.whole_cpus else ", though they will stall each other"
    reasons.append(
        Reason("threads", str(threads), f"{who} says so{beyond}; chosen were {chosen.value}")
    )
    return threads


def _in_order(firsts: list[int], siblings: list[int], places: list[Place]) -> list[int]:
    """All CPUs that may be used, the best first: own cores, other cores, second threads."""
    others = [place.cpus[0] for place in places]
    rest = [cpu for place in places for cpu in place.cpus[1:]]
    return list(dict.fromkeys([*firsts, *siblings, *others, *rest]))


def _explain_smt(topology: Topology, workload: Workload, smt: bool, reasons: list[Reason]) -> None:
    if all(len(core.cpus) == 1 for core in topology.cores):
        return
    if smt:
        value, why = "yes", "as many threads were asked for"
    elif workload.role == "prefill":
        value, why = "no", "two threads of a core share its multipliers"
    else:
        value, why = "no", "one thread of a core can wait for the memory as well as two"
    reasons.append(Reason("smt", value, why))


def _pin(
    topology: Topology,
    allowance: Allowance,
    workload: Workload,
    all_cores: bool,
    reasons: list[Reason],
) -> bool:
    pin = False
    if topology.system != "linux":
        why = f"{_SYSTEMS[topology.system]} places threads better by itself"
    elif workload.engines > 1:
        why = "another engine's threads would be nailed to the same CPUs"
    elif allowance.quota is not None:
        why = "under a quota, any of the CPUs that is free is as good"
    elif not all_cores:
        why = "with another number of threads than cores, they may move to what is free"
    else:
        pin, why = True, "the engine has these cores for itself"
    reasons.append(Reason("pinning", "yes" if pin else "no", why))
    return pin


def _core_choice(used: list[Place], places: list[Place]) -> CoreChoice:
    """The kind to ask for, where another kind could be taken by mistake."""
    kinds = {place.core.kind for place in used}
    if kinds == {place.core.kind for place in places} or len(kinds) > 1:
        return "any"
    return "performance" if "performance" in kinds else "efficiency"


def _spinning(
    allowance: Allowance,
    crowded: bool,
    threads: int,
    reasons: list[Reason],
) -> Spinning:
    spinning: Spinning = "pass"
    why = "between passes Python, drafts and other graphs need the cores"
    if threads == 1:
        spinning, why = "never", "one thread waits for no other"
    elif allowance.quota is not None:
        spinning, why = "never", "waiting busily would spend the quota"
    elif crowded:
        spinning, why = "never", "engines share cores: who waits must let the others run"
    reasons.append(Reason("spinning", spinning, why))
    return spinning


def _precision(
    topology: Topology, workload: Workload, reasons: list[Reason]
) -> PlannedPrecision | None:
    has = set(topology.instructions)
    precision: PlannedPrecision | None = "f32"
    if workload.precision != "auto":
        precision, why = workload.precision, "as the option says"
    elif not has or (topology.system == "windows" and "avx512f" in has):
        precision, why = None, "not all instruction sets are known"
    elif (topology.vendor, topology.family) == _ZEN_5 and "avx512_bf16" in has:
        why = "bf16 was seen to go wrong on Zen 5 (openvino#38256)"
    elif {"amx_bf16", "avx512_bf16"} & has:
        name = "AMX" if "amx_bf16" in has else "AVX-512"
        precision, why = "bf16", f"{name} multiplies it natively"
    elif "asimdhp" in has:
        precision, why = "f16", "this ARM computes it natively"
    else:
        why = "this CPU has no narrower floating point"
    reasons.append(Reason("precision", "runtime's" if precision is None else precision, why))
    return precision


def _quantization_group(workload: Workload, reasons: list[Reason]) -> int | None:
    size = workload.weight_group_size
    if workload.precision == "f32":
        group, why = 0, "exact results were asked for"
    elif workload.quantization_group is not None:
        group, why = workload.quantization_group, "as the option says"
    elif size is not None:
        group, why = size, "as large as the groups of the weights"
    else:
        group, why = None, "the weights are in no groups"
    reasons.append(Reason("quantization group", "runtime's" if group is None else str(group), why))
    return group
