"""A graph whose nodes can be replaced; all else is written as it was read."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from nanoaccel.runtime.backends.onnxruntime.graph import wire

# Fields by message of onnx.proto.
_GRAPH, _OPSET, _METADATA = 7, 8, 14  # of a model
_KEY, _VALUE = 1, 2  # of an entry of metadata
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13  # of a graph
_IN, _OUT, _NODE_NAME, _KIND, _ATTRIBUTE, _DOMAIN = 1, 2, 3, 4, 5, 7  # of a node
_ATTRIBUTE_NAME, _FLOAT, _INTEGER, _TEXT, _INTEGERS = 1, 2, 3, 4, 8  # of an attribute
_ATTRIBUTE_TYPE = 20
_DIMENSIONS, _DATA_TYPE, _TENSOR_NAME = 1, 2, 8  # of a tensor
_INTEGER_DATA, _RAW_DATA = (5, 7), 9
_INTEGER_BYTES = {6: 4, 7: 8}  # of raw data, by the type of the tensor
_INFO_NAME = 1
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_IS_FLOAT, _IS_INTEGER = 1, 2  # types of attributes
_MOST_DIMENSIONS = 16


@dataclass(slots=True, eq=False)
class Node:
    """A node.

    Args:
        kind: Its operator.
        inputs: Names of values; empty ones are left out.
        outputs: The same.
        name: Its name.
        domain: Domain of the operator; that of ONNX is empty.
        attributes: Messages of attributes, by name.
    """

    kind: str
    inputs: list[str]
    outputs: list[str]
    name: str = ""
    domain: str = ""
    attributes: dict[str, bytes] = field(default_factory=dict)

    def integer(self, name: str, default: int | None = None) -> int | None:
        """An attribute that is an integer."""
        if name not in self.attributes:
            return default
        for number, value in wire.fields(memoryview(self.attributes[name])):
            if number == _INTEGER and isinstance(value, int):
                return wire.signed(value)
        return 0  # which is not written

    def real(self, name: str, default: float) -> float:
        """An attribute that is a float."""
        if name not in self.attributes:
            return default
        for number, value in wire.fields(memoryview(self.attributes[name])):
            if number == _FLOAT and isinstance(value, memoryview) and len(value) == 4:
                return float(struct.unpack("<f", value)[0])
        return 0.0

    def integers(self, name: str) -> tuple[int, ...]:
        """An attribute that is a list of integers; empty when it is not there."""
        found: list[int] = []
        for number, value in wire.fields(memoryview(self.attributes.get(name, b""))):
            if number == _INTEGERS:
                found += [wire.signed(one) for one in wire.integers(value)]
        return tuple(found)

    def text(self, name: str, default: str = "") -> str:
        """An attribute that is a text."""
        for number, value in wire.fields(memoryview(self.attributes.get(name, b""))):
            if number == _TEXT:
                return wire.text_of(value)
        return default

    def input(self, index: int) -> str:
        """The name of an input; empty when it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""


@dataclass(frozen=True, slots=True)
class Tensor:
    """What is known of an initializer.

    Args:
        type: As ONNX numbers them.
        shape: Its sizes.
        scalar: The number itself, where it is a single integer.
    """

    type: int
    shape: tuple[int, ...]
    scalar: int | None = None

    @property
    def size(self) -> int:
        """How many numbers it has."""
        size = 1
        for length in self.shape:
            size *= length
        return size


@dataclass(slots=True, eq=False)
class Model:
    """A model.

    Attributes:
        nodes: In an order in which they can run.
        initializers: By name.
        inputs: Messages of the graph's inputs, by name.
        outputs: The same of its outputs.
    """

    nodes: list[Node]
    initializers: Mapping[str, Tensor]
    inputs: dict[str, bytes]
    outputs: dict[str, bytes]
    _before: bytes
    _stored: dict[str, bytes]
    _around: bytes

    def metadata(self) -> dict[str, str]:
        """What the model says about itself."""
        told = {}
        for message in wire.bytes_of(memoryview(self._before), _METADATA):
            key, value = (next(wire.bytes_of(message, n), memoryview(b"")) for n in (_KEY, _VALUE))
            told[wire.text_of(key)] = wire.text_of(value)
        return told

    def retype(self, name: str, type_: int) -> None:
        """Take the bytes of an initializer for numbers of another type of their size."""
        message = bytearray()
        for number, value in wire.fields(memoryview(self._stored[name])):
            message += _field(number, type_ if number == _DATA_TYPE else value)
        self._stored[name] = bytes(message)

    def write(self, domains: Mapping[str, int]) -> bytes:
        """The model with its nodes as they are now.

        Args:
            domains: Versions of the operator sets that were added, by domain.
        """
        nodes = b"".join(wire.bytes_field(_NODE, _written(node)) for node in self.nodes)
        sets = b"".join(
            wire.bytes_field(
                _OPSET,
                wire.bytes_field(_OPSET_DOMAIN, domain)
                + wire.integer_field(_OPSET_VERSION, version),
            )
            for domain, version in domains.items()
        )
        ends = [wire.bytes_field(_INPUT, message) for message in self.inputs.values()]
        ends += [wire.bytes_field(_OUTPUT, message) for message in self.outputs.values()]
        stored = (wire.bytes_field(_INITIALIZER, message) for message in self._stored.values())
        graph = b"".join([nodes, *stored, self._around, *ends])
        return self._before + sets + wire.bytes_field(_GRAPH, graph)


def read_model(data: bytes) -> Model:
    """Read the bytes of an .onnx file.

    Raises:
        WireError: They are no model.
    """
    before, graph = bytearray(), memoryview(b"")
    for number, value in wire.fields(memoryview(data)):
        if number == _GRAPH and isinstance(value, memoryview):
            graph = value
        else:
            before += _field(number, value)
    nodes, initializers, stored, around = [], {}, {}, bytearray()
    ends: dict[int, dict[str, bytes]] = {_INPUT: {}, _OUTPUT: {}}
    for number, value in wire.fields(graph):
        if number == _NODE and isinstance(value, memoryview):
            nodes.append(_node(value))
            continue
        if number == _VALUE_INFO:  # of values that may go; the runtime infers them
            continue
        if number in ends and isinstance(value, memoryview):
            ends[number][_name(value, _INFO_NAME)] = bytes(value)
            continue
        if number == _INITIALIZER and isinstance(value, memoryview):
            name, tensor = _tensor(value)
            initializers[name] = tensor
            stored[name] = bytes(value)
            continue
        around += _field(number, value)
    _check_order(nodes)
    named = (ends[_INPUT], ends[_OUTPUT])
    return Model(nodes, initializers, *named, bytes(before), stored, bytes(around))


def integer_attribute(name: str, value: int) -> bytes:
    """An attribute's message."""
    return (
        wire.bytes_field(_ATTRIBUTE_NAME, name)
        + wire.integer_field(_INTEGER, value)
        + wire.integer_field(_ATTRIBUTE_TYPE, _IS_INTEGER)
    )


def float_attribute(name: str, value: float) -> bytes:
    """An attribute's message."""
    return (
        wire.bytes_field(_ATTRIBUTE_NAME, name)
        + wire.fixed32_field(_FLOAT, struct.pack("<f", value))
        + wire.integer_field(_ATTRIBUTE_TYPE, _IS_FLOAT)
    )


def in_order(nodes: Sequence[Node]) -> list[Node]:
    """The nodes so that each stands behind those that it reads from."""
    makers = {name: index for index, node in enumerate(nodes) for name in node.outputs if name}
    reads = {
        index: [makers[name] for name in node.inputs if name in makers]
        for index, node in enumerate(nodes)
    }
    return [nodes[index] for index in TopologicalSorter(reads).static_order()]


def without_unused(nodes: Sequence[Node], outputs: Iterable[str]) -> list[Node]:
    """The nodes that something reads from, in the order in which they can run."""
    kept, wanted = [], set(outputs)
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(node.inputs)
    return kept[::-1]


def _field(number: int, value: int | memoryview) -> bytes:
    """A field as it was: models, graphs and stored integers have integers and bytes alone."""
    if isinstance(value, int):
        return wire.integer_field(number, value)
    return wire.bytes_field(number, value)


def _name(message: memoryview, number: int) -> str:
    for value in wire.bytes_of(message, number):
        return wire.text_of(value)
    raise wire.WireError("something has no name")


def _check_order(nodes: Sequence[Node]) -> None:
    """Refuse nodes that read what is made behind them, so no one can follow values in a circle."""
    behind = Counter(name for node in nodes for name in node.outputs if name)
    if any(count > 1 for count in behind.values()):
        raise wire.WireError("a value is made twice")
    for node in nodes:
        if any(name in behind for name in node.inputs):
            raise wire.WireError(f"{node.kind} reads what is made behind it")
        if not any(node.outputs):
            raise wire.WireError(f"{node.kind} makes nothing")
        for name in node.outputs:
            behind.pop(name, None)


def _node(message: memoryview) -> Node:
    node = Node("", [], [])
    for number, value in wire.fields(message):
        if number == _IN:
            node.inputs.append(wire.text_of(value))
        elif number == _OUT:
            node.outputs.append(wire.text_of(value))
        elif number == _NODE_NAME:
            node.name = wire.text_of(value)
        elif number == _KIND:
            node.kind = wire.text_of(value)
        elif number == _DOMAIN:
            node.domain = wire.text_of(value)
        elif number == _ATTRIBUTE and isinstance(value, memoryview):
            node.attributes[_name(value, _ATTRIBUTE_NAME)] = bytes(value)
    return node


def _written(node: Node) -> bytes:
    parts = [wire.bytes_field(_IN, name) for name in node.inputs]
    parts += [wire.bytes_field(_OUT, name) for name in node.outputs]
    parts += [wire.bytes_field(_NODE_NAME, node.name), wire.bytes_field(_KIND, node.kind)]
    parts += [wire.bytes_field(_ATTRIBUTE, message) for message in node.attributes.values()]
    return b"".join([*parts, wire.bytes_field(_DOMAIN, node.domain)])


def _tensor(message: memoryview) -> tuple[str, Tensor]:
    name, kind, shape = "", 0, list[int]()
    numbers: list[int] = []
    for number, value in wire.fields(message):
        if number == _TENSOR_NAME:
            name = wire.text_of(value)
        elif number == _DATA_TYPE and isinstance(value, int):
            kind = value
        elif number == _DIMENSIONS:
            shape += map(wire.signed, wire.integers(value))
        elif number in _INTEGER_DATA:
            numbers += map(wire.signed, wire.integers(value))
        elif (
            number == _RAW_DATA
            and isinstance(value, memoryview)
            and len(value) == _INTEGER_BYTES.get(kind)
        ):
            numbers.append(int.from_bytes(value, "little", signed=True))
    if len(shape) > _MOST_DIMENSIONS or any(length < 0 for length in shape):
        raise wire.WireError(f"the shape of {name} is none")
    scalar = numbers[0] if len(numbers) == 1 and math.prod(shape) == 1 else None
    return name, Tensor(kind, tuple(shape), scalar)
