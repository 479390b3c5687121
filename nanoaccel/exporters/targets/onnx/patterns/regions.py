"""Parts of a graph between two values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import Node, SourceGraph, Value

_MOST_NODES = 64
_SMALL = 4096  # numbers of a constant that is looked at


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """What computes a value from one other, from positions and from constants.

    Args:
        source: The other value.
        result: The value.
        nodes: Nodes between them.
    """

    source: Value
    result: Value
    nodes: tuple[Node, ...]

    def constants(self) -> list[Value]:
        """Small constants that its nodes read."""
        found = {
            value: None
            for node in self.nodes
            for value in node.inputs
            if value.node.constant and _count(value) <= _SMALL
        }
        return list(found)

    def form(self, constants: Constants) -> tuple[object, ...]:
        """Equal for regions that compute the same."""
        numbers = {self.source: 0}
        lines: list[object] = [self.source.shape]
        for node in self.nodes:
            reads: list[object] = []
            for value in node.inputs:
                if value in numbers:
                    reads.append(numbers[value])
                elif value.node.constant and _count(value) <= _SMALL:
                    array = constants.array(value)
                    reads.append((array.shape, array.tobytes()))
                else:
                    reads.append((value.name, value.index))
            for value in node.outputs:
                numbers[value] = len(numbers)
            lines.append((node.kind, str(node.attributes), tuple(reads)))
        return (*lines, numbers[self.result])


def regions_behind(graph: SourceGraph, result: Value, *, most: int) -> Iterator[Region]:
    """Regions that end in a value and begin at one of the same number of axes, the nearest first.

    Args:
        graph: The graph.
        result: The value.
        most: How many are given at most.
    """
    order = graph.order
    frontier = {result}
    inside: set[Node] = set()
    found = 0
    while found < most and len(inside) < _MOST_NODES:
        latest = max(frontier, key=lambda value: order[value.node])
        if not latest.node.inputs:
            return
        frontier = {value for value in frontier if value.node is not latest.node}
        inside.add(latest.node)
        frontier |= {value for value in latest.node.inputs if not value.node.placed}
        if not frontier:
            return
        if len(frontier) == 1:
            (source,) = frontier
            if len(source.shape) == len(result.shape) and source.kind == result.kind:
                found += 1
                nodes = _with_positions(inside, source)
                yield Region(source, result, tuple(sorted(nodes, key=order.__getitem__)))


def _with_positions(inside: set[Node], source: Value) -> set[Node]:
    """Nodes of a region, those included that depend on positions alone."""
    nodes, left = set(inside), [value for node in inside for value in node.inputs]
    while left:
        node = left.pop().node
        if node in nodes or node.constant or node is source.node or not node.placed:
            continue
        nodes.add(node)
        left += node.inputs
    return nodes


def _count(value: Value) -> int:
    count = 1
    for size in value.shape:
        count *= size if isinstance(size, int) else _SMALL + 1
    return count
