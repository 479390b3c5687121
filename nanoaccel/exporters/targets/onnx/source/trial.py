"""Runs a part of a graph, to see what it computes, and finds the sizes of all values.

A part is known by what it does to numbers, so it does not matter how a model spells it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.targets.onnx.source.graph import (
    INPUTS,
    Size,
    SourceGraph,
    Tokens,
    Value,
)
from nanoaccel.openvino_core import openvino_core

_BEAM = "beam_idx"
_TOKENS = 2  # axis of keys and values
# New and cached tokens: all their sums differ, and from sizes of models.
_SIZES = ((7, 5), (11, 5), (7, 18))
_REMEDY = "Export it for OpenVINO: --runtime openvino"


def unsupported(reason: str) -> UnsupportedModelError:
    """A refusal of a graph.

    Args:
        reason: What of the model is in the way.
    """
    return UnsupportedModelError(
        f"the model cannot be exported for ONNX Runtime: {reason}", _REMEDY
    )


class Trial:
    """A graph for one sequence with so many tokens.

    Args:
        graph: The graph.
        tokens: New ones.
        cached: Cached ones.

    Raises:
        UnsupportedModelError: It has states that are neither keys and values nor of one size.
    """

    def __init__(self, graph: SourceGraph, tokens: int, cached: int) -> None:
        self.tokens, self.cached = tokens, cached
        self._model = _fixed(graph.model, tokens, cached)

    def shapes(self) -> dict[tuple[str, int], tuple[int, ...] | None]:
        """Shapes by name of node and output; None where they depend on numbers."""
        found: dict[tuple[str, int], tuple[int, ...] | None] = {}
        for node in self._model.get_ops():
            for output in node.outputs():
                shape = output.get_partial_shape()
                place = (node.get_friendly_name(), output.get_index())
                found[place] = tuple(shape.to_shape()) if shape.is_static else None
        return found

    def run(
        self, wanted: Sequence[Value], given: Mapping[Value, NDArray[Any]]
    ) -> list[NDArray[Any]] | None:
        """Compute some values from others.

        Args:
            wanted: The values.
            given: Numbers for what they are computed from.

        Returns:
            None when they depend on more, or cannot be computed.
        """
        model = self._model.clone()
        nodes = {node.get_friendly_name(): node for node in model.get_ops()}
        outputs = [nodes[value.name].output(value.index) for value in wanted]
        feeds = []
        for value, array in given.items():
            source = nodes[value.name].output(value.index)
            feed = ops.parameter(list(array.shape), source.get_element_type())
            source.replace(feed.output(0))
            feeds.append(feed)
        try:
            part = ov.Model([ops.result(output) for output in outputs], feeds, "part")
            compiled = openvino_core().compile_model(part, "CPU", _EXACT)
            found = compiled(list(given.values()))
        except RuntimeError:
            return None
        return [np.array(found[index]) for index in range(len(wanted))]


_EXACT = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}


def find_sizes(graph: SourceGraph) -> None:
    """Set the shapes of all values, from those for several numbers of tokens.

    Raises:
        UnsupportedModelError: As ``Trial``.
    """
    trials = [Trial(graph, tokens, cached).shapes() for tokens, cached in _SIZES]
    for node in graph.nodes:
        for value in node.outputs:
            shapes = [found.get((node.name, value.index)) for found in trials]
            known = [shape for shape in shapes if shape is not None]
            if len(known) == len(shapes) and len({len(shape) for shape in known}) == 1:
                value.shape = tuple(_size(*sizes) for sizes in zip(*known, strict=True))


def _size(usual: int, longer: int, later: int) -> Size:
    """A size from those of 7, 11 and 7 tokens, the last behind more cached ones."""
    if usual == longer == later:
        return usual
    (tokens, few), (more, _), (_, many) = _SIZES
    each, cached = (longer - usual) // (more - tokens), (later - usual) // (many - few)
    return Tokens(each, usual - each * tokens - cached * few, cached)


def _fixed(model: ov.Model, tokens: int, cached: int) -> ov.Model:
    """A copy of a graph for one sequence, whose states are inputs."""
    copy = model.clone()
    feeds = list(copy.get_parameters())
    for node in copy.get_ops():
        if node.get_type_name() != "ReadValue":
            continue
        shape = node.get_output_partial_shape(0)
        sizes = [size.get_length() if size.is_static else None for size in shape]
        free = [axis for axis, size in enumerate(sizes) if size is None]
        if free not in ([0], [0, _TOKENS]):  # one of a recurrence, and keys or values
            raise unsupported("it has layers with a state that grows in another way than keys")
        shape = [cached if size is None else size for size in sizes]
        feed = ops.parameter([1, *shape[1:]], node.get_output_element_type(0))
        name = node.get_friendly_name()
        node.set_friendly_name(f"{name}/state")
        feed.set_friendly_name(name)
        node.output(0).replace(feed.output(0))
        feeds.append(feed)
    fixed = ov.Model(list(copy.get_results()), feeds, "fixed")
    lengths = {"input_ids": tokens, "attention_mask": cached + tokens, "position_ids": tokens}
    for feed in fixed.get_parameters():
        name = feed.get_friendly_name()
        if name in INPUTS:
            feed.set_partial_shape(ov.PartialShape([1, lengths[name]]))
        elif name == _BEAM:
            feed.set_partial_shape(ov.PartialShape([1]))
    fixed.validate_nodes_and_infer_types()
    for node in fixed.get_ops():
        if node.get_type_name() == "ShapeOf":
            sizes = node.get_input_partial_shape(0)
            if sizes.is_static:
                _replace(
                    node, np.array(sizes.to_shape(), node.get_output_element_type(0).to_dtype())
                )
    return fixed


def _replace(node: ov.Node, numbers: NDArray[Any]) -> None:
    """Put numbers in the place of a node."""
    name = node.get_friendly_name()
    constant = ops.constant(numbers)
    node.set_friendly_name(f"{name}/shape")
    constant.set_friendly_name(name)
    node.output(0).replace(constant.output(0))
