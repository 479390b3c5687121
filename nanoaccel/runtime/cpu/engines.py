"""How many engines a machine is good for, and what each of them gets of it."""

from __future__ import annotations

from collections.abc import Mapping

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.cpu.placement import usable_places
from nanoaccel.runtime.cpu.threads import ENVIRONMENT, plan_threads
from nanoaccel.runtime.cpu.topology import Machine
from nanoaccel.runtime.cpu.workload import ThreadPlan, Workload


def engines_for(machine: Machine, threads: int | None, environment: Mapping[str, str]) -> int:
    """Engines that use all that is allowed of a machine: one for each NUMA node.

    One engine where somebody says how many threads compute. Under a quota no more than it keeps
    busy: two that share what one node can give are slower than one, and hold the weights twice.

    Args:
        machine: What it is, and what is allowed of it.
        threads: The user's number; None lets the plan choose.
        environment: Variables; ``NANOACCEL_THREADS`` is the user's word too.
    """
    if threads is not None or environment.get(ENVIRONMENT, "").strip():
        return 1
    bare = {node.id for node in machine.topology.nodes if node.memory == 0}
    cores: dict[int, int] = {}
    for place in usable_places(machine.topology, machine.allowance):
        if place.core.node not in bare:
            cores[place.core.node] = cores.get(place.core.node, 0) + 1
    if not cores:
        return 1
    busy = -(-machine.allowance.whole_cpus // max(cores.values()))
    return len(cores) if machine.allowance.quota is None else min(len(cores), busy)


def engine_plans(
    machine: Machine, engines: int, threads: int | None, environment: Mapping[str, str]
) -> list[ThreadPlan]:
    """The plan of each engine.

    Args:
        machine: What it is, and what is allowed of it.
        engines: 1 or more.
        threads: Threads of each engine; None lets the plan choose.
        environment: Variables; ``NANOACCEL_THREADS`` counts for each engine.

    Raises:
        ConfigError: There are more engines, or more ``threads``, than CPUs.
    """
    most = len(machine.allowance.cpus)
    if engines > most:
        raise ConfigError(
            f"replicas={engines} is more than the {most} CPUs that this process may use",
            'Lower it, or leave it at "auto"',
        )
    return [
        plan_threads(
            machine.topology,
            machine.allowance,
            Workload(engines=engines, engine=engine, threads=threads),
            environment,
        )
        for engine in range(engines)
    ]
