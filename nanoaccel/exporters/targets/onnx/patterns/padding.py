"""Factors that are 0 where a padded batch has no token: a packed graph has no such places."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nanoaccel.exporters.targets.onnx.patterns.plan import Pattern
from nanoaccel.exporters.targets.onnx.source.graph import INPUTS, Node, SourceGraph, Value
from nanoaccel.exporters.targets.onnx.source.trial import Trial

_MASK = INPUTS[1]
_TOKENS, _CACHED = 7, 5


def find_padding(graph: SourceGraph) -> Iterator[Pattern]:
    """Find products with such factors: those that are made of the mask alone, and 1 without any."""
    mask = graph.input(_MASK)
    if mask is None:
        return
    masks = _made_of(graph, mask)
    trial = Trial(graph, _TOKENS, _CACHED)
    known: dict[Value, bool] = {}
    for node in graph.of_kind("Multiply"):
        for factor, other in (node.inputs, node.inputs[::-1]):
            if factor.node not in masks or other.node in masks or other.shape != node.out.shape:
                continue
            if factor not in known:
                ones = np.ones((1, _TOKENS + _CACHED), np.int64)
                found = trial.run([factor], {mask: ones})
                known[factor] = found is not None and bool((found[0] == 1).all())
            if known[factor]:
                yield Pattern(node, [other], [node.out], lambda _, values: values)


def _made_of(graph: SourceGraph, source: Value) -> set[Node]:
    """The nodes that depend on a value, and on nothing else but sizes."""
    found = {source.node}
    for node in graph.nodes:
        makers = {value.node for value in node.inputs}
        if not makers.isdisjoint(found) and all(one in found or one.fixed for one in makers):
            found.add(node)
    return found
