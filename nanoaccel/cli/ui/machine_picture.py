"""A picture of a machine: nodes around caches around cores around CPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from nanoaccel.cli.ui.sizes import binary_bytes_text
from nanoaccel.runtime.cpu.topology import Cache, Core, Machine, Node, Topology
from nanoaccel.runtime.cpu.workload import ThreadPlan

_LETTERS = {"performance": "P", "efficiency": "E", "low-power": "L"}
_USED, _LEFT, _FORBIDDEN = "green", "yellow", "bright_black"


@dataclass(frozen=True, slots=True)
class _Marks:
    """How a CPU is drawn that is used, left out, not allowed."""

    used: str
    left: str
    forbidden: str


_UNICODE = _Marks("■", "□", "·")
_ASCII = _Marks("#", "o", ".")


def picture(machine: Machine, plan: ThreadPlan, *, unicode: bool = True) -> RenderableType:
    """Draw it.

    Args:
        machine: What to draw.
        plan: Plan whose CPUs are marked as used.
        unicode: Whether squares and lines can be shown.
    """
    drawer = _Drawer(machine, plan, _UNICODE if unicode else _ASCII, unicode)
    topology = machine.topology
    return Group(*(drawer.node(node) for node in topology.nodes), drawer.legend())


@dataclass(frozen=True, slots=True)
class _Drawer:
    machine: Machine
    plan: ThreadPlan
    marks: _Marks
    unicode: bool

    def node(self, node: Node) -> RenderableType:
        topology = self.machine.topology
        cores = [core for core in topology.cores if core.node == node.id]
        memory = "" if not node.memory else f", {binary_bytes_text(node.memory)}"
        sockets = sorted({core.package for core in cores})
        socket = "" if len(topology.packages) == 1 else f", socket {sockets[0]}"
        groups = _by_cache(topology, cores, _last_level(topology))
        return self._panel(
            Group(*(part for cache, members in groups for part in self._cache(cache, members))),
            f"NUMA node {node.id}{socket}{memory}",
        )

    def legend(self) -> Text:
        kinds = self.machine.topology.kinds
        text = Text()
        text.append(f"{self.marks.used} in the plan for decode  ", _USED)
        text.append(f"{self.marks.left} left out  ", _LEFT)
        text.append(f"{self.marks.forbidden} not allowed", _FORBIDDEN)
        text.append("   a mark is a CPU; brackets share a level 2 cache")
        if len(kinds) > 1:
            text.append("; " + ", ".join(f"{_LETTERS[kind]} {kind}" for kind in kinds))
        return text

    def _cache(self, cache: Cache | None, cores: Sequence[Core]) -> list[RenderableType]:
        """Cores that share the last cache, a paragraph for each kind."""
        cells: dict[str, list[Text]] = {}
        for second, members in _by_cache(self.machine.topology, cores, 2):
            cells.setdefault(members[0].kind, []).append(self._cell(second, members))
        kinds: list[RenderableType] = [Columns(one, padding=(0, 2)) for one in cells.values()]
        if cache is None:
            return kinds
        return [self._panel(Group(*kinds), _name(cache))]

    def _cell(self, cache: Cache | None, cores: Sequence[Core]) -> Text:
        """Cores that share a second-level cache."""
        text = Text(no_wrap=True)
        shared = cache is not None and len(cores) > 1
        text.append("[" if shared else "")
        for place, core in enumerate(cores):
            text.append(" " if place else "")
            text.append(f"{_LETTERS[core.kind]}{core.id} ")
            for cpu in core.cpus:
                text.append(*self._mark(cpu))
        text.append("]" if shared else "")
        return text

    def _mark(self, cpu: int) -> tuple[str, str]:
        if cpu not in self.machine.allowance.cpus:
            return self.marks.forbidden, _FORBIDDEN
        return (self.marks.used, _USED) if cpu in self.plan.cpus else (self.marks.left, _LEFT)

    def _panel(self, content: RenderableType, title: str) -> Panel:
        frame = box.ROUNDED if self.unicode else box.ASCII
        return Panel(content, title=title, title_align="left", box=frame, expand=False)


def _last_level(topology: Topology) -> int:
    """Level of the biggest caches; 0 where no more than two levels are known."""
    level = max((cache.level for cache in topology.caches), default=0)
    return level if level > 2 else 0


def _by_cache(
    topology: Topology, cores: Sequence[Core], level: int
) -> list[tuple[Cache | None, list[Core]]]:
    """Cores by the cache of a level that they share; without one they are together.

    Of the second level, a core without a cache is alone.
    """
    groups: dict[tuple[int, ...], tuple[Cache | None, list[Core]]] = {}
    for core in cores:
        found = [
            c for c in topology.caches_of(core) if c.level == level and c.kind != "instruction"
        ]
        cache = found[0] if found else None
        alone = core.cpus if level == 2 else ()
        key = alone if cache is None else cache.cpus
        groups.setdefault(key, (cache, []))[1].append(core)
    return list(groups.values())


def _name(cache: Cache) -> str:
    size = "" if cache.size == 0 else f", {binary_bytes_text(cache.size)}"
    return f"level {cache.level} cache{size}"
