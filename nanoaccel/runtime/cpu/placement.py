"""Which cores a graph gets: NUMA node, kinds of cores, an engine's share."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.cpu.files import format_cpus
from nanoaccel.runtime.cpu.topology import Allowance, Core, CoreKind, Topology
from nanoaccel.runtime.cpu.workload import Reason, Workload

# What a small core computes of what a big one does, where the system does not rate them.
_SMALL_SPEED = 0.5
_KIND_NAMES: dict[CoreKind, str] = {
    "performance": "performance cores",
    "efficiency": "efficiency cores",
    "low-power": "low-power cores",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A core, and those of its CPUs that may be used; at least one."""

    core: Core
    cpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NodeChoice:
    """The NUMA node that was chosen.

    Args:
        node: None when there is one only.
        bind_memory: Whether to allocate there only.
        places: Its cores.
        sharers: Engines that share them.
        turn: Index among those, from 0.
    """

    node: int | None
    bind_memory: bool
    places: list[Place]
    sharers: int
    turn: int


def usable_places(topology: Topology, allowance: Allowance) -> list[Place]:
    """Cores with a CPU that may be used; CPUs that the topology does not know are cores."""
    allowed = set(allowance.cpus)
    places = [
        Place(core, tuple(cpu for cpu in core.cpus if cpu in allowed)) for core in topology.cores
    ]
    unknown = sorted(allowed.difference(topology.cpus))
    places += [Place(Core(len(places) + n, (cpu,)), (cpu,)) for n, cpu in enumerate(unknown)]
    return [place for place in places if place.cpus]


def choose_node(
    topology: Topology,
    allowance: Allowance,
    workload: Workload,
    places: list[Place],
    reasons: list[Reason],
) -> NodeChoice:
    """One NUMA node for an engine: reading the memory of another costs it bandwidth.

    Raises:
        ConfigError: ``node`` is none that this process may use.
    """
    nodes = sorted({place.core.node for place in places})
    if workload.node is not None and workload.node not in nodes:
        raise ConfigError(
            f"node={workload.node} is none that this process may use",
            f"Choose one of {format_cpus(tuple(nodes))}",
        )
    if len(nodes) == 1:
        why = "the only one" if len(topology.nodes) == 1 else "the only one that is allowed"
        reasons.append(Reason("node", str(nodes[0]), why))
        node = None if len(topology.nodes) == 1 else nodes[0]
        return NodeChoice(node, False, places, workload.engines, workload.engine)
    by_node = {node: [p for p in places if p.core.node == node] for node in nodes}
    memory = {node.id: node.memory for node in topology.nodes}
    sharers, turn = workload.engines, workload.engine
    if workload.node is not None:
        chosen, why = workload.node, "as the option says"
    elif workload.engines > 1:
        turn, place = divmod(workload.engine, len(nodes))
        sharers = len(range(place, workload.engines, len(nodes)))
        chosen, why = nodes[place], f"{workload.engines} engines on {len(nodes)} nodes take turns"
    else:
        chosen = max(nodes, key=lambda node: (memory.get(node) != 0, *_strength(by_node[node])))
        why = f"one engine stays on one of {len(nodes)} nodes, near its memory"
    bind, remark = _bind_memory(chosen, memory.get(chosen), allowance, workload)
    reasons.append(Reason("node", str(chosen), f"{why}; {remark}"))
    return NodeChoice(chosen, bind, by_node[chosen], sharers, turn)


def choose_kinds(workload: Workload, places: list[Place], reasons: list[Reason]) -> list[Place]:
    """The cores that help: every pass waits for the slowest of them."""
    by_kind: dict[CoreKind, list[Place]] = {}
    for place in places:
        by_kind.setdefault(place.core.kind, []).append(place)
    order: tuple[CoreKind, ...] = ("performance", "efficiency", "low-power")
    fastest, *others = [kind for kind in order if kind in by_kind]
    chosen, value = by_kind[fastest], f"{len(by_kind[fastest])} {_KIND_NAMES[fastest]}"
    if not others:
        if fastest == "performance":
            reasons.append(Reason("cores", str(len(chosen)), "all are alike"))
        else:
            reasons.append(Reason("cores", value, "no others are allowed"))
        return chosen
    small = by_kind.get("efficiency", [])
    if workload.role == "prefill" and fastest == "performance" and small:
        together = len(chosen) + len(small)
        if together * _relative_speed(small, chosen) > len(chosen):
            why = f"even parts at the pace of the small ones beat {len(chosen)} big ones alone"
            reasons.append(
                Reason("cores", f"{value} and {len(small)} {_KIND_NAMES[others[0]]}", why)
            )
            return [*chosen, *small]
    left = " and ".join(f"{len(by_kind[kind])} {_KIND_NAMES[kind]}" for kind in others)
    reasons.append(
        Reason("cores", value, f"{left} left out: at every barrier the others would wait for them")
    )
    return chosen


def share(choice: NodeChoice, places: list[Place], reasons: list[Reason]) -> list[Place]:
    """The part of the cores that is this engine's; engines beyond the cores double up."""
    if choice.sharers == 1:
        return places
    begin = choice.turn * len(places) // choice.sharers
    end = (choice.turn + 1) * len(places) // choice.sharers
    part = places[begin:end] if end > begin else [places[begin % len(places)]]
    reasons.append(
        Reason(
            "share", f"{len(part)} of {len(places)} cores", f"{choice.sharers} engines share them"
        )
    )
    return part


def _strength(places: list[Place]) -> tuple[int, int]:
    """Fast cores, then all cores; the first of equals wins."""
    return sum(place.core.kind == "performance" for place in places), len(places)


def _bind_memory(
    node: int, size: int | None, allowance: Allowance, workload: Workload
) -> tuple[bool, str]:
    allowed = allowance.memory_nodes
    if allowed is not None and node not in allowed:
        return False, "its memory is not allowed, so memory is not bound"
    if size == 0:
        return False, "it has no memory of its own"
    if workload.memory is not None and size is not None and workload.memory > size:
        return False, "memory is not bound: what the engine needs is more than the node has"
    return True, "memory is bound to it"


def _relative_speed(small: list[Place], big: list[Place]) -> float:
    """Speed of a small core, as a share of a big one."""
    slow = [place.core.capacity for place in small]
    fast = [place.core.capacity for place in big]
    least = min((one for one in slow if one), default=None)
    most = max((one for one in fast if one), default=None)
    if least is None or most is None or least >= most:
        return _SMALL_SPEED
    return least / most
