"""From an OpenVINO graph to a packed ONNX graph that computes the same.

    sizes over tokens -> parts that become one operator -> all else, operator by operator

Tokens of all texts stand one behind the other, so nothing but attention may look along their axis:
what would is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import openvino as ov
from numpy.typing import NDArray

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.exporters.progress import Tell, silence
from nanoaccel.exporters.targets.onnx.operations.operation import Operation, Written
from nanoaccel.exporters.targets.onnx.operations.table import NUMBER_BY_NUMBER, OPERATIONS
from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter, declare
from nanoaccel.exporters.targets.onnx.patterns.attention import find_attention
from nanoaccel.exporters.targets.onnx.patterns.convolutions import find_convolutions
from nanoaccel.exporters.targets.onnx.patterns.experts import find_experts
from nanoaccel.exporters.targets.onnx.patterns.layers import layer_outputs
from nanoaccel.exporters.targets.onnx.patterns.masks import Masks
from nanoaccel.exporters.targets.onnx.patterns.norms import find_norms
from nanoaccel.exporters.targets.onnx.patterns.padding import find_padding
from nanoaccel.exporters.targets.onnx.patterns.plan import Pattern, Plan
from nanoaccel.exporters.targets.onnx.patterns.products import (
    find_products,
    last_product,
    order_projections,
)
from nanoaccel.exporters.targets.onnx.patterns.recurrences import find_recurrences
from nanoaccel.exporters.targets.onnx.patterns.rotary import Rotations
from nanoaccel.exporters.targets.onnx.patterns.slices import find_assigned_slices
from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import (
    INPUTS,
    POSITIONS,
    Node,
    SourceGraph,
    Tokens,
    Value,
    read_graph,
)
from nanoaccel.exporters.targets.onnx.source.trial import find_sizes, unsupported

_TOKENS = {INPUTS[0]: contract.INPUT_IDS, POSITIONS: contract.POSITIONS}


def translate(model: ov.Model, context: int, tell: Tell = silence) -> ir.Model:
    """Write the packed graph.

    Args:
        model: The OpenVINO graph; its nodes get other names where several have one.
        context: Tokens that the model can attend to.
        tell: Called with the share that is done.

    Raises:
        UnsupportedModelError: It has parts that cannot be packed.
        ExportError: Weights are stored in a way that ONNX Runtime cannot compute with.
    """
    graph = read_graph(model)
    find_sizes(graph)
    constants = Constants(graph)
    return _Translation(graph, constants, find_parts(graph, constants, context), context).run(tell)


def find_parts(graph: SourceGraph, constants: Constants, context: int) -> Plan:
    """Find all parts that become one operator.

    Raises:
        UnsupportedModelError: Some of them cannot.
    """
    plan = Plan()
    products = find_products(graph, plan, constants)
    find_norms(graph, plan, constants)
    find_experts(graph, plan, constants)
    find_assigned_slices(graph, plan, constants)
    plan.add_all(find_padding(graph))
    plan.add_all(find_convolutions(graph, constants))
    plan.add_all(find_recurrences(graph, constants))
    masks, rotations = Masks(graph, context), Rotations(graph, constants, context)
    for node in find_attention(graph, constants, masks, rotations):
        plan.add(node)
        if len(node.reads) > 1:
            order_projections(node.reads, plan, products)
    return plan


class _Translation:
    """Writes what logits are computed from, in the order of the graph."""

    def __init__(self, graph: SourceGraph, constants: Constants, plan: Plan, context: int) -> None:
        self._graph, self._constants, self._plan = graph, constants, plan
        factors = graph.long_factors
        self._out = PackedWriter(context, None if factors is None else factors.border)
        self._made: dict[Value, ir.Value] = {}

    def run(self, tell: Tell) -> ir.Model:
        result = next(self._graph.of_kind("Result")).inputs[0]
        last = last_product(self._graph)
        if last is None:
            raise unsupported("its logits come from no product")
        states = last.inputs[0]
        self._choose_rows(last)
        told = layer_outputs(self._graph)
        needed = self._needed([result, *told.values()])
        for place, node in enumerate(self._graph.nodes):
            tell(place / len(self._graph.nodes))
            self._write(node, needed)
        width, vocabulary = states.shape[-1], result.shape[-1]
        assert isinstance(width, int)
        assert isinstance(vocabulary, int)
        outputs = [declare(self._made[result], contract.LOGITS, [1, "R", vocabulary])]
        for layer, value in told.items():
            size = value.shape[-1]
            assert isinstance(size, int)
            name = contract.hidden_name(layer)
            outputs.append(declare(self._made[value], name, [1, "T", size]))
        outputs.append(declare(self._made[states], contract.STATES, [1, "T", width]))
        return self._out.finish(outputs, self._graph.folded_scales)

    def _choose_rows(self, last: Node) -> None:
        """Let only the tokens whose logits are asked for go through the last product."""
        found = self._plan.maker(last.out)
        assert found is not None
        (source,) = found.reads

        def write(out: PackedWriter, values: Sequence[ir.Value]) -> Sequence[ir.Value]:
            rows = out.input(contract.LOGITS_ROWS)
            chosen = out.writer.add("Gather", [values[0], rows], "/lm_head/rows", axis=1)
            return found.write(out, [chosen])

        if len(found.makes) != 1 or len(source.shape) != 3:
            raise unsupported("its logits come from a product that others share")
        self._plan.add(Pattern(found.place, found.reads, found.makes, write))

    def _needed(self, wanted: Sequence[Value]) -> set[Value]:
        """All values that some are computed from, as they are written."""
        needed: set[Value] = set()
        left = list(wanted)
        while left:
            value = left.pop()
            if value in needed:
                continue
            needed.add(value)
            pattern = self._plan.maker(value)
            if pattern is not None:
                left += pattern.reads
            elif self._constants.settled(value) is None:
                left += self._reads(value.node)
        return needed

    def _reads(self, node: Node) -> list[Value]:
        if node.kind == "Parameter":
            return []
        operation = OPERATIONS.get(node.kind)
        return [] if operation is None else operation.values(node)

    def _write(self, node: Node, needed: set[Value]) -> None:
        """Write what stands in the place of a node, where that is needed."""
        for pattern in self._plan.at(node):
            if not needed.isdisjoint(pattern.makes):
                values = [self._value(value, node) for value in pattern.reads]
                made = pattern.write(self._out, values)
                self._made.update(zip(pattern.makes, made, strict=True))
        left = [one for one in node.outputs if one in needed and one not in self._made]
        if not left or node.kind == "Parameter" or self._constants.settled(left[0]) is not None:
            return
        operation = OPERATIONS.get(node.kind)
        if node.kind == "ReadValue":
            raise unsupported("its attention is spelled out in a way of its own")
        if operation is None:
            raise unsupported(f"ONNX has no operator for {node.kind} ({node.name})")
        for value in left:
            if len(value.token_axes) > 1 or _grows(value):
                raise unsupported(f"{node.kind} ({node.name}) relates tokens to each other")
        made = self._operate(node, operation)
        self._made.update(zip(node.outputs, made, strict=True))

    def _operate(self, node: Node, operation: Operation) -> Sequence[ir.Value]:
        inputs = [self._value(value, node) for value in operation.values(node)]
        name = self._out.name_of(node)
        made = operation.write(Written(node, inputs, self._out, self._constants, name))
        return [made] if isinstance(made, ir.Value) else made

    def _value(self, value: Value, reader: Node) -> ir.Value:
        """A value in the packed graph, for a node that reads it."""
        if value in self._made:
            return self._made[value]
        numbers = self._constants.settled(value)
        if numbers is not None:
            return self._out.numbers(_short(numbers, reader))
        if value.name in _TOKENS:
            return self._out.input(_TOKENS[value.name])
        raise unsupported(f"{reader.kind} ({reader.name}) reads {value.name}")


def _grows(value: Value) -> bool:
    """Whether its size depends on cached tokens."""
    return any(isinstance(size, Tokens) and size.cached for size in value.shape)


def _short(array: NDArray[Any], reader: Node) -> NDArray[Any]:
    """Numbers for each of the last axis as a row, where all other axes are 1 anyway."""
    if reader.kind not in NUMBER_BY_NUMBER or array.ndim != len(reader.out.shape):
        return array
    sizes = list(array.shape)
    while sizes and sizes[0] == 1:
        sizes.pop(0)
    return array.reshape(sizes)
