"""Nodes and values of an OpenVINO graph, with what is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import openvino as ov

from nanoaccel.bundle.folded_scales import RUNTIME_INFO as FOLDED
from nanoaccel.bundle.folded_scales import FoldedScales
from nanoaccel.bundle.long_factors import RUNTIME_INFO, LongFactors


@dataclass(frozen=True, slots=True)
class Tokens:
    """A size that grows with the tokens of a pass.

    Args:
        each: How much for a new token.
        more: How much besides.
        cached: How much for a cached token.
    """

    each: int
    more: int = 0
    cached: int = 0


INPUTS = ("input_ids", "attention_mask", "position_ids")
POSITIONS = INPUTS[2]
Size: TypeAlias = int | Tokens
Shape: TypeAlias = tuple[Size, ...]


@dataclass(slots=True, eq=False)
class Value:
    """An output of a node.

    Args:
        node: Its maker.
        index: Which of its outputs.
        kind: Type of its numbers, as OpenVINO names it.
        shape: Its sizes for a batch of one.
        users: Nodes that read it, and at which of their inputs.
    """

    node: Node
    index: int
    kind: str
    shape: Shape = ()
    users: list[tuple[Node, int]] = field(default_factory=list)

    def only_user(self) -> Node | None:
        """The one node that reads it; None when there are others."""
        return self.users[0][0] if len(self.users) == 1 else None

    @property
    def name(self) -> str:
        """Name of its maker."""
        return self.node.name

    @property
    def token_axes(self) -> list[int]:
        """Axes whose sizes grow with tokens."""
        return [axis for axis, size in enumerate(self.shape) if isinstance(size, Tokens)]


@dataclass(slots=True, eq=False)
class Node:
    """A node.

    Args:
        kind: Its operator.
        name: Its name, unlike all others.
        origin: The node itself.
        inputs: What it reads.
        outputs: What it makes.
        constant: Whether it depends on nothing but constants.
        fixed: Whether it depends on nothing but constants and shapes.
        placed: Whether it depends on nothing but these and positions.
    """

    kind: str
    name: str
    origin: ov.Node
    inputs: Sequence[Value] = ()
    outputs: Sequence[Value] = ()
    constant: bool = False
    fixed: bool = False
    placed: bool = False

    @property
    def out(self) -> Value:
        """Its first output."""
        return self.outputs[0]

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes."""
        found: dict[str, Any] = self.origin.get_attributes()
        return found


@dataclass(frozen=True, slots=True)
class SourceGraph:
    """A graph.

    Args:
        model: The graph itself; all of its nodes have different names.
        nodes: In an order in which they can run.
        order: Place of each of them in it.
    """

    model: ov.Model
    nodes: Sequence[Node]
    order: Mapping[Node, int]

    @property
    def long_factors(self) -> LongFactors | None:
        """How it is told which texts are long; None where all are rotated alike."""
        if not self.model.has_rt_info(RUNTIME_INFO):
            return None
        return LongFactors.parse(self.model.get_rt_info(RUNTIME_INFO).astype(str))

    @property
    def folded_scales(self) -> FoldedScales | None:
        """Factors that compression moved between matrices; None where it does not say."""
        if not self.model.has_rt_info(FOLDED):
            return None
        return FoldedScales.parse(self.model.get_rt_info(FOLDED).astype(str))

    def input(self, name: str) -> Value | None:
        """An input by its name; None where there is none."""
        found = (node.out for node in self.of_kind("Parameter") if node.name == name)
        return next(found, None)

    def of_kind(self, *kinds: str) -> Iterator[Node]:
        """The nodes of some operators."""
        return (node for node in self.nodes if node.kind in kinds)


def read_graph(model: ov.Model) -> SourceGraph:
    """Read a graph, all but its sizes.

    Args:
        model: Gets other names where several nodes have one.
    """
    nodes: list[Node] = []
    made: dict[str, Node] = {}
    for origin in model.get_ordered_ops():
        name = str(origin.get_friendly_name())
        while name in made:
            name += "_"
        origin.set_friendly_name(name)
        node = Node(str(origin.get_type_name()), name, origin)
        node.inputs = [
            made[value.get_node().get_friendly_name()].outputs[value.get_index()]
            for value in origin.input_values()
        ]
        node.outputs = [
            Value(node, index, output.get_element_type().get_type_name())
            for index, output in enumerate(origin.outputs())
        ]
        for place, value in enumerate(node.inputs):
            value.users.append((node, place))
        makers = [value.node for value in node.inputs]
        source = node.kind in ("Parameter", "ReadValue")
        node.constant = not source and all(maker.constant for maker in makers)
        node.fixed = not source and (node.kind == "ShapeOf" or all(maker.fixed for maker in makers))
        node.placed = node.fixed or (
            all(maker.placed for maker in makers) if makers else name == POSITIONS
        )
        made[name] = node
        nodes.append(node)
    return SourceGraph(model, nodes, {node: place for place, node in enumerate(nodes)})
