"""A graph in pieces of a block each, which run one after the other.

The CPU plugin copies the weights of a graph that it compiles. In pieces, it has those of one block
at a time; all samples pass through a piece before the next one is compiled.

    tokens -> [embedding, masks, angles] -> [block 0] -> [block 1] -> ... -> [norm, logits]
                        |                      ^            ^
                        +-- what later ones read is kept for each sample
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from nanoaccel.exporters.progress import silence
from nanoaccel.openvino_core import openvino_core

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
_Port: TypeAlias = tuple[str, int]  # name of a node, and which of its outputs

_MODULE = "__module."
_BLOCK = re.compile(r"__module\.[^/]*?\.(\d+)\b")


@dataclass(slots=True)
class _Piece:
    """A part of a graph.

    Args:
        parameters: Inputs, by what they stand for.
        kept: Outputs that later pieces read.
        results: Outputs of the whole graph, with their names.
    """

    parameters: dict[_Port, ov.Node] = field(default_factory=dict)
    kept: dict[_Port, ov.Node] = field(default_factory=dict)
    results: list[tuple[ov.Node, set[str]]] = field(default_factory=list)

    def model(self) -> ov.Model:
        """The part as a graph; what is kept comes first."""
        outputs = [*self.kept.values(), *(result for result, _ in self.results)]
        return ov.Model(outputs, list(self.parameters.values()))


class SegmentedGraph:
    """A stateful graph that runs over whole texts, block after block.

    Args:
        graph: Its states begin empty; it is taken apart.
        options: Options of the CPU plugin.
    """

    def __init__(self, graph: ov.Model, options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self._inputs = {port.get_any_name(): _port(port) for port in graph.inputs}
        _drop_states(graph)
        self._pieces = _take_apart(graph)

    def run(
        self,
        samples: Sequence[Arrays],
        take: Callable[[int, Arrays], None],
        tell: Callable[[float], object] = silence,
    ) -> None:
        """Run all samples through one piece after the other.

        Args:
            samples: Inputs by name.
            take: Called with the number of a sample and outputs of the graph by name, piece by
                piece that has some, and sample by sample. What follows the last of these pieces
                is not computed.
            tell: Called with the share that is done.
        """
        known = [
            {port: sample[name] for name, port in self._inputs.items() if name in sample}
            for sample in samples
        ]
        last = max(index for index, piece in enumerate(self._pieces) if piece.results)
        for index, piece in enumerate(self._pieces[: last + 1]):
            if not piece.kept and not piece.results:
                continue
            wanted = {port for later in self._pieces[index + 1 :] for port in later.parameters}
            compiled = openvino_core().compile_model(piece.model(), "CPU", self._options)
            request = compiled.create_infer_request()
            for number, state in enumerate(known):
                found = request.infer([state[port] for port in piece.parameters])
                arrays = [found[output] for output in compiled.outputs]
                state.update(zip(piece.kept, arrays, strict=False))
                known[number] = {port: one for port, one in state.items() if port in wanted}
                named: dict[str, NDArray[Any]] = {}
                for (_, names), one in zip(piece.results, arrays[len(piece.kept) :], strict=True):
                    named.update(dict.fromkeys(names, one))
                if named:
                    take(number, named)
                tell((index + (number + 1) / len(known)) / (last + 1))


def _take_apart(graph: ov.Model) -> list[_Piece]:
    """Cut a graph where one block ends; its nodes are used again."""
    nodes = graph.get_ordered_ops()
    stored, place = _places(nodes)
    pieces = [_Piece() for _ in range(max(place.values()) + 1)]
    parameters = {node.get_name() for node in graph.get_parameters()}
    for node in nodes:
        name = node.get_name()
        if name in parameters or name in stored:
            continue
        here = place[name]
        if node.get_type_name() == "Result":
            names = set(node.input_value(0).get_names()) | set(node.output(0).get_names())
            pieces[here].results.append((node, names))
        for entry in node.inputs():
            source = entry.get_source_output()
            port = _port(source)
            if port[0] in stored or (port[0] not in parameters and place[port[0]] == here):
                continue
            if port not in pieces[here].parameters:
                shape = source.get_partial_shape()
                pieces[here].parameters[port] = ops.parameter(shape, source.get_element_type())
            if port[0] not in parameters:
                pieces[place[port[0]]].kept.setdefault(port, ops.result(source))
            entry.replace_source_output(pieces[here].parameters[port].output(0))
    return pieces


def _places(nodes: Sequence[ov.Node]) -> tuple[set[str], dict[str, int]]:
    """Nodes that only constants lead to, and the piece of each other node.

    A node is no earlier than what it reads, and no earlier than its own block. What reads the last
    block and is in none is a piece of its own: it has the vocabulary's weights.
    """
    blocks = {node.get_name(): _BLOCK.search(node.get_friendly_name()) for node in nodes}
    last = max((int(found[1]) + 1 for found in blocks.values() if found is not None), default=0)
    stored: set[str] = set()
    place: dict[str, int] = {}
    for node in nodes:
        name, kind = node.get_name(), node.get_type_name()
        sources = [value.get_node().get_name() for value in node.input_values()]
        computed = bool(sources) and kind != "Result"
        if kind == "Constant" or (computed and stored.issuperset(sources)):
            stored.add(name)
            continue
        here = max((place[source] for source in sources if source not in stored), default=0)
        found = blocks[name]
        if found is not None:
            here = max(here, int(found[1]) + 1)
        elif here == last and _MODULE in node.get_friendly_name():
            here = last + 1
        place[name] = here
    return stored, place


def _drop_states(graph: ov.Model) -> None:
    """Let states be what they begin with: a text is read whole."""
    for node in graph.get_ordered_ops():
        if node.get_type_name() == "ReadValue":
            node.output(0).replace(node.input_value(0))
    for sink in list(graph.get_sinks()):
        graph.remove_sink(sink)
    for variable in list(graph.get_variables()):
        graph.remove_variable(variable)


def _port(output: ov.Output) -> _Port:
    return output.get_node().get_name(), output.get_index()
