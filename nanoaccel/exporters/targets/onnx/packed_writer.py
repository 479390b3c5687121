"""Writes a packed graph: its inputs, caches and outputs, and what several parts share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.bundle.folded_scales import METADATA as FOLDED
from nanoaccel.bundle.folded_scales import FoldedScales
from nanoaccel.bundle.long_factors import METADATA, LongFactors
from nanoaccel.bundle.module_rows import METADATA as MODULES
from nanoaccel.bundle.module_rows import ModuleRows, write_modules
from nanoaccel.exporters.targets.onnx.graph_inputs import graph_inputs
from nanoaccel.exporters.targets.onnx.rotation import Rotation, rotary_tables
from nanoaccel.exporters.targets.onnx.source.graph import Node, Shape, Tokens
from nanoaccel.exporters.targets.onnx.source.names import path_of
from nanoaccel.exporters.targets.onnx.source.trial import unsupported
from nanoaccel.exporters.targets.onnx.stored import StoredWeight
from nanoaccel.exporters.targets.onnx.writer import Writer

OPSETS = {"": 22, "com.microsoft": 1}
_OWN_OPSET = 1
_IR_VERSION = 10
_MICROSOFT = "com.microsoft"


class PackedWriter:
    """Adds parts to a graph.

    Args:
        context: Tokens that the model can attend to.
        long_border: Tokens of the longest text with the factors of short ones; None where all
            texts have the same.

    Attributes:
        writer: Writes nodes and stored numbers.
    """

    def __init__(self, context: int, long_border: int | None = None) -> None:
        self._context, self._long_border = context, long_border
        self._graph = ir.Graph([], [], nodes=[], opset_imports=OPSETS, name="decoder")
        self.writer = Writer(self._graph)
        self._inputs = graph_inputs()
        self._caches: dict[str, ir.Value] = {}
        self._presents: dict[str, ir.Value] = {}
        self._tables: dict[tuple[object, ...], tuple[ir.Value, ir.Value]] = {}
        self._numbers: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}
        self._names: set[str] = set()
        self._tokens: ir.Value | None = None
        self._state_numbers = 0
        self._distances: ir.Value | None = None
        self._modules: dict[str, list[ModuleRows]] = {}
        self._input_scales: dict[str, NDArray[np.float32]] = {}

    def input(self, name: str) -> ir.Value:
        """An input of the contract."""
        return self._inputs[name]

    def unique(self, name: str) -> str:
        """A name that no part has yet."""
        found, number = name, 1
        while found in self._names:
            number += 1
            found = f"{name}_{number}"
        self._names.add(found)
        return found

    def name_of(self, node: Node) -> str:
        """A name for what is written in the place of a node."""
        return self.unique(path_of(node.name))

    def node(
        self,
        kind: str,
        inputs: Sequence[ir.Value | None],
        name: str,
        *,
        outputs: int,
        kept: Sequence[int] | None = None,
        **attributes: Any,
    ) -> Sequence[ir.Value]:
        """A node of ONNX Runtime's own with several outputs.

        Args:
            kept: Outputs that have names; None is all.
        """
        node = ir.node(kind, inputs, attributes, domain=_MICROSOFT, num_outputs=outputs, name=name)
        for index, value in enumerate(node.outputs):
            value.name = f"{name}/output_{index}" if kept is None or index in kept else ""
        self._graph.append(node)
        return node.outputs

    def insert(self, node: ir.Node) -> Sequence[ir.Value]:
        """Add a node that has a name; gives its outputs."""
        for index, value in enumerate(node.outputs):
            value.name = f"{node.name}/output_{index}"
        self._graph.append(node)
        return node.outputs

    def numbers(self, array: NDArray[Any]) -> ir.Value:
        """Stored numbers; equal ones are stored once."""
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._numbers:
            self._numbers[key] = self.writer.constant(array, f"numbers.{len(self._numbers)}")
        return self._numbers[key]

    def integers(self, numbers: Sequence[int]) -> ir.Value:
        """Stored integers."""
        return self.numbers(np.array(numbers, np.int64))

    def reshape(self, value: ir.Value, shape: Sequence[int], name: str) -> ir.Value:
        """A value in another shape; -1 is the axis of tokens."""
        return self.writer.add("Reshape", [value, self.integers(shape)], name)

    def sizes(self, shape: Shape, name: str) -> ir.Value:
        """The sizes of a value as integers, for the tokens of a pass."""
        if not any(isinstance(size, Tokens) for size in shape):
            return self.integers([size for size in shape if isinstance(size, int)])
        parts = [self._size(size, name) for size in shape]
        return self.writer.add("Concat", parts, f"{name}/sizes", axis=0)

    def _size(self, size: int | Tokens, name: str) -> ir.Value:
        if isinstance(size, int):
            return self.integers([size])
        if size.cached:
            raise unsupported(f"{name} depends on the number of cached tokens")
        if self._tokens is None:
            ids = self.input(contract.INPUT_IDS)
            self._tokens = self.writer.add("Shape", [ids], "/tokens", start=1, end=2)
        found = self._tokens
        if size.each != 1:
            name = self.unique(f"{name}/times")
            found = self.writer.add("Mul", [found, self.integers([size.each])], name)
        if size.more:
            name = self.unique(f"{name}/plus")
            found = self.writer.add("Add", [found, self.integers([size.more])], name)
        return found

    def rotary(self, rotation: Rotation) -> tuple[ir.Value, ir.Value]:
        """Tables of cosines and sines; those of layers that rotate alike are made once."""
        if rotation.key not in self._tables:
            name = f"rotary/{len(self._tables)}"
            self._tables[rotation.key] = rotary_tables(self.writer, rotation, self._context, name)
        return self._tables[rotation.key]

    def distances(self) -> ir.Value:
        """From each query to each key, as ALiBi has them: the index of one minus the other's."""
        if self._distances is None:
            add, name = self.writer.add, "/alibi"
            floats = int(ir.DataType.FLOAT)
            ends = [
                self.numbers(np.array(0, np.int32)),
                self.input(contract.TOTAL_LENGTH),
                self.numbers(np.array(1, np.int32)),
            ]
            keys = add("Cast", [add("Range", ends, f"{name}/Range")], f"{name}/keys", to=floats)
            rows = [self.input(contract.ROW_POSITIONS), self.integers([1, 3])]
            queries = add("Cast", [rows[0]], f"{name}/queries", to=floats)
            queries = add("Unsqueeze", [queries, rows[1]], f"{name}/Unsqueeze")
            self._distances = add("Sub", [keys, queries], f"{name}/Sub")
            self._distances.name = contract.ALIBI_DISTANCES
        return self._distances

    def split_source(self, parts: Sequence[ir.Value]) -> ir.Value | None:
        """What is split into these parts and nothing else; None where they come otherwise."""
        node = parts[0].producer()
        if node is None or node.op_type != "Split" or list(node.outputs) != list(parts):
            return None
        return node.inputs[0]

    def caches(self, layer: int, shape: Sequence[int | str]) -> list[ir.Value]:
        """Inputs for the cached keys and values of a layer."""
        found = []
        for kind in contract.CACHE_KINDS:
            name = contract.past_name(layer, kind)
            if name not in self._caches:
                self._caches[name] = ir.val(name, ir.DataType.FLOAT, shape)
            found.append(self._caches[name])
        return found

    def give_caches(
        self, layer: int, values: Sequence[ir.Value], shape: Sequence[int | str]
    ) -> None:
        """Make outputs of the keys and values of a layer, by the first node that has them."""
        for kind, value in zip(contract.CACHE_KINDS, values, strict=True):
            name = contract.present_name(layer, kind)
            if name not in self._presents:
                self._presents[name] = declare(value, name, shape)

    def with_state(
        self, kind: str, inputs: Sequence[ir.Value | None], numbers: int, name: str, **more: Any
    ) -> ir.Value:
        """A node of NanoAccel's own that keeps a state.

        Args:
            kind: Its operator.
            inputs: What it reads besides states.
            numbers: Numbers of its state.
            name: Its name.
            more: Its attributes.
        """
        offset, self._state_numbers = self._state_numbers, self._state_numbers + numbers
        states = [self.input(one) for one in contract.STATE_INPUTS]
        return self.own(kind, [*inputs, *states], name, state_offset=offset, **more)

    def own(self, kind: str, inputs: Sequence[ir.Value | None], name: str, **more: Any) -> ir.Value:
        """A node of NanoAccel's own, with its attributes."""
        self._graph.opset_imports.setdefault(contract.OWN_DOMAIN, _OWN_OPSET)
        return self.writer.add(kind, inputs, name, contract.OWN_DOMAIN, **more)

    def tell_modules(self, product: ir.Value, modules: Sequence[tuple[str, StoredWeight]]) -> None:
        """Say in the graph which modules a product is.

        Args:
            product: What it gives.
            modules: Names and matrices, in the order of their rows.
        """
        node = product.producer()
        assert node is not None, "a product is made by a node"
        assert node.name is not None, "all nodes have names"
        self._modules[node.name] = [ModuleRows(name, weight.rows) for name, weight in modules]
        for name, weight in modules:
            if weight.input_scale is not None:
                self._input_scales[name] = weight.input_scale

    def finish(self, outputs: Sequence[ir.Value], folded: FoldedScales | None = None) -> ir.Model:
        """The graph with its inputs, in the order of the contract, and its outputs.

        Args:
            outputs: Those besides the caches.
            folded: Factors that compression moved between matrices; None where nobody knows.
        """
        states = self._inputs[contract.RECURRENT_STATES]
        states.shape = ir.Shape(["slots", self._state_numbers])
        used = [value for value in self._inputs.values() if value.uses()]
        self._graph.inputs.extend([*used, *self._caches.values()])
        logits, *others = outputs
        self._graph.outputs.extend([logits, *self._presents.values(), *others])
        border = self._long_border
        # The tables have the rows of long texts behind those of short ones.
        about = {} if border is None else {METADATA: str(LongFactors(border, border))}
        if folded is not None:
            factors = folded.with_more(FoldedScales(inputs=self._input_scales))
            about |= {FOLDED: str(factors), MODULES: write_modules(self._modules)}
        return ir.Model(
            self._graph, ir_version=_IR_VERSION, producer_name="nanoaccel", metadata_props=about
        )


def declare(value: ir.Value, name: str, shape: Sequence[int | str]) -> ir.Value:
    """Make a value an output's: named, f32, of this shape."""
    value.name = name
    value.dtype = ir.DataType.FLOAT
    value.shape = ir.Shape(shape)
    return value
