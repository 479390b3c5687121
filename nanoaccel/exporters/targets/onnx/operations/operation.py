"""What the functions of all operators have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import onnx_ir as ir

from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter
from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import Node, Value
from nanoaccel.exporters.targets.onnx.source.trial import unsupported

TYPES: Mapping[str, ir.DataType] = {
    "f32": ir.DataType.FLOAT,
    "f16": ir.DataType.FLOAT16,
    "i32": ir.DataType.INT32,
    "i64": ir.DataType.INT64,
    "u8": ir.DataType.UINT8,
    "boolean": ir.DataType.BOOL,
}


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """A node on its way into the packed graph.

    Args:
        node: The node.
        inputs: Those of its inputs that its operator reads as values, in their order.
        out: Writes into the packed graph.
        constants: Numbers of the graph.
        name: Name of what is written.
    """

    node: Node
    inputs: Sequence[ir.Value]
    out: PackedWriter
    constants: Constants
    name: str

    def add(
        self, kind: str, inputs: Sequence[ir.Value], more: str = "", **attributes: Any
    ) -> ir.Value:
        """A node of ONNX."""
        return self.out.writer.add(kind, inputs, f"{self.name}{more}", **attributes)

    def integers(self, place: int) -> list[int]:
        """An input that says how, not what.

        Raises:
            UnsupportedModelError: It depends on tokens.
        """
        found = self.constants.integers(self.node.inputs[place])
        if found is None:
            raise unsupported(f"{self.node.kind} ({self.node.name}) depends on tokens")
        return found

    def axis(self, place: int) -> int:
        """An axis that is an input, counted from the first."""
        (axis,) = self.integers(place)
        return axis % len(self.node.inputs[0].shape)

    def keep_apart(self, axis: int) -> None:
        """Refuse an axis along which tokens stand: those of other texts stand there too.

        Raises:
            UnsupportedModelError: It is such an axis.
        """
        if axis in self.node.inputs[0].token_axes:
            raise unsupported(f"{self.node.kind} ({self.node.name}) mixes tokens")


Write: TypeAlias = Callable[[Written], "ir.Value | Sequence[ir.Value]"]


@dataclass(frozen=True, slots=True)
class Operation:
    """How an operator is written.

    Args:
        write: Function that writes it.
        reads: Inputs that it reads as values; None is all.
    """

    write: Write
    reads: tuple[int, ...] | None = None

    def values(self, node: Node) -> list[Value]:
        """The inputs of a node that it reads as values."""
        if self.reads is None:
            return list(node.inputs)
        return [node.inputs[place] for place in self.reads if place < len(node.inputs)]
