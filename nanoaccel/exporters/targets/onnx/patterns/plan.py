"""Which parts of a graph are written as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import onnx_ir as ir

from nanoaccel.exporters.targets.onnx.source.graph import Node, Value

if TYPE_CHECKING:
    from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter

Write: TypeAlias = "Callable[[PackedWriter, Sequence[ir.Value]], Sequence[ir.Value]]"


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """A part that was found.

    Args:
        place: The node in whose place it is written.
        reads: Values that it is computed from.
        makes: Values that others read of it.
        write: Function that writes it, from the values that it reads to those that it makes.
    """

    place: Node
    reads: Sequence[Value]
    makes: Sequence[Value]
    write: Write


class Plan:
    """The parts of a graph that were found."""

    def __init__(self) -> None:
        self._makers: dict[Value, Pattern] = {}
        self._places: dict[Node, list[Pattern]] = {}

    def add(self, pattern: Pattern) -> None:
        """Write a part as one; in place of any other that makes the same."""
        for value in pattern.makes:
            old = self._makers.get(value)
            if old is not None:
                self._places[old.place].remove(old)
            self._makers[value] = pattern
        self._places.setdefault(pattern.place, []).append(pattern)

    def add_all(self, patterns: Iterable[Pattern]) -> None:
        """Write each of some parts as one."""
        for pattern in patterns:
            self.add(pattern)

    def maker(self, value: Value) -> Pattern | None:
        """The part that makes a value; None where its node is written by itself."""
        return self._makers.get(value)

    def at(self, node: Node) -> Sequence[Pattern]:
        """The parts that are written in the place of a node."""
        return self._places.get(node, ())
