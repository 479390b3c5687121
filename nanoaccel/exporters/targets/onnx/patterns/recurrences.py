"""Recurrences over the tokens of a text, as ``openvino.tracing.loops`` spells them.

Loop over q, k, v, gate, beta                   the gated delta rule   -> LinearAttention
Loop over decays, what is written, what is read the scan of Mamba-2    -> LinearAttention
Loop over steps, what is written, x, what is read, decays  that of Mamba -> LinearAttention
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.patterns.gates import Gate, find_gate, find_step
from nanoaccel.exporters.targets.onnx.patterns.heads import (
    Heads,
    before_reshapes,
    heads_of,
    is_turn,
    result_heads,
)
from nanoaccel.exporters.targets.onnx.patterns.plan import Pattern
from nanoaccel.exporters.targets.onnx.patterns.recurrence_nodes import Recurrence, write_recurrence
from nanoaccel.exporters.targets.onnx.patterns.states import fixed_factor, reads_state
from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import Node, SourceGraph, Value
from nanoaccel.exporters.targets.onnx.source.trial import unsupported

# What a Loop reads behind its count and its condition; its state and its output are the last.
_DELTA_INPUTS, _SCAN_INPUTS, _DIAGONAL_INPUTS = (9,), (7,), (8, 9)
_DELTA_KINDS = {"Exp", "Subtract"}  # of the body of the delta rule alone
_WIDTHS = (64, 32, 16, 8, 4, 2, 1)  # of heads that channels are put into


@dataclass(frozen=True, slots=True)
class _Keys:
    """Keys or queries in front of what is done to them.

    Args:
        value: They, of heads that may be fewer than those of values.
        scale: What they are multiplied with.
        epsilon: What is added to the squares when they get length 1; None when they do not.
    """

    value: Value
    scale: float = 1.0
    epsilon: float | None = None


def find_recurrences(graph: SourceGraph, constants: Constants) -> Iterator[Pattern]:
    """Find the recurrences of all layers.

    Raises:
        UnsupportedModelError: One of them is another one.
    """
    for node in graph.of_kind("Loop"):
        body = {one.get_type_name() for one in node.origin.get_function().get_ops()}
        inputs: tuple[int, ...]
        if body >= _DELTA_KINDS:
            find, inputs = _delta, _DELTA_INPUTS
        elif "Exp" in body:
            find, inputs = _diagonal, _DIAGONAL_INPUTS
        else:
            find, inputs = _scan, _SCAN_INPUTS
        if len(node.inputs) not in inputs or not reads_state(node.inputs[-2], "ssm"):
            raise _strange(node)
        yield find(node, constants)


def _delta(node: Node, constants: Constants) -> Pattern:
    """The gated delta rule, over f32 [1, heads, T, ...]."""
    query, key, value, decay, beta = node.inputs[2:7]
    queries, keys = (_keys(one, constants) for one in (query, key))
    gate = find_gate(_turned_gates(decay), constants)
    betas = _turned_gates(beta)
    if gate is None or keys.scale != 1 or queries.epsilon != keys.epsilon:
        raise _strange(node)
    return _pattern(node, (queries, keys), value, gate, betas)


def _scan(node: Node, constants: Constants) -> Pattern:
    """The scan of Mamba-2, over f32 [1, T, heads, ...]."""
    decays, written, read = (value.node for value in node.inputs[2:5])
    factors = written.inputs if written.kind == "Multiply" else ()
    if len(factors) != len(("inward", "x")) or read.kind != "Unsqueeze":
        raise _strange(node)
    inward, x = (factor.node for factor in factors)
    if decays.kind != "Reshape" or inward.kind != "Unsqueeze" or x.kind != "Unsqueeze":
        raise _strange(node)
    scaled, exponential = inward.inputs[0].node, decays.inputs[0].node
    if scaled.kind != "Multiply" or exponential.kind != "Exp":
        raise _strange(node)
    steps, keys = scaled.inputs
    gate = find_gate(exponential.inputs[0], constants)
    if gate is None or steps.node.kind != "Unsqueeze" or steps.node.inputs[0] is not gate.step:
        raise _strange(node)
    heads = tuple(_Keys(_ungrouped(one)) for one in (read.inputs[0], keys))
    return _pattern(node, heads, x.inputs[0], gate, None)


def _diagonal(node: Node, constants: Constants) -> Pattern:
    """The scan of Mamba, over f32 [1, T, channels]; channels are put into heads."""
    steps, keys, value, queries = node.inputs[2:6]
    made, decay = find_step(steps, constants), _cell_decay(node, constants)
    size, channels = keys.shape[-1], value.shape[-1]
    if made is None or decay is None:
        raise _strange(node)
    if not isinstance(size, int) or not isinstance(channels, int):
        raise _strange(node)
    width = next(one for one in _WIDTHS if channels % one == 0)
    heads = channels // width
    shared = [Heads(one, 1, size, "flat") for one in (queries, keys)]
    values, result = (Heads(one, heads, width, "flat") for one in (value, node.outputs[0]))
    decays = decay.reshape(heads, width, size)
    found = Recurrence(
        parts=(*shared, values),
        result=result,
        bias=made.bias,
        decay=np.ascontiguousarray(decays.transpose(0, 2, 1)),
        limits=made.limits,
    )
    reads = [queries, keys, value, made.raw]
    return Pattern(node, reads, [result.source], partial(write_recurrence, found, node))


def _cell_decay(node: Node, constants: Constants) -> NDArray[np.float32] | None:
    """What cells of states decay by, f32 [channels, N]; OpenVINO moves constants into a loop."""
    if len(node.inputs) == max(_DIAGONAL_INPUTS):
        value = node.inputs[6]
        return constants.array(value).astype(np.float32) if value.node.constant else None
    body = node.origin.get_function().get_ops()
    exponential = next(one for one in body if one.get_type_name() == "Exp")
    for value in exponential.input_value(0).get_node().input_values():
        if value.get_node().get_type_name() == "Constant":
            return np.asarray(value.get_node().data, np.float32)
    return None


def _pattern(
    node: Node, keys: Sequence[_Keys], value: Value, gate: Gate, betas: Value | None
) -> Pattern:
    parts = [heads_of(one.value) for one in keys] + [heads_of(value)]
    result = node.outputs[0]
    place, form = node, replace(parts[2], source=result, form="tokens")
    if betas is not None:  # its heads stand before its tokens
        place, result, form = result_heads(result)
    queries, keyed, values = parts
    if queries.heads != keyed.heads or values.heads % keyed.heads or queries.size != keyed.size:
        raise _strange(node)
    steps, heads = len(gate.made.bias), values.heads
    fine = betas is not None and steps == heads * keyed.size
    if len(gate.decay) != heads or (steps != heads and not fine):
        raise _strange(node)
    found = Recurrence(
        parts=tuple(parts),
        result=form,
        scale=keys[0].scale,
        epsilon=keys[0].epsilon,
        bias=gate.made.bias,
        decay=gate.decay,
        limits=gate.made.limits,
        delta=betas is not None,
    )
    reads = [*(part.source for part in parts), gate.made.raw]
    reads += [] if betas is None else [betas]
    return Pattern(place, reads, [result], partial(write_recurrence, found, place))


def _turned_gates(value: Value) -> Value:
    """A number for each head of a token, f32 [1, T, heads], that is turned to [1, heads, T]."""
    node = value.node
    if node.kind != "Transpose":
        raise _strange(node)
    return before_reshapes(node.inputs[0])


def _keys(value: Value, constants: Constants) -> _Keys:
    """Keys or queries, f32 [1, heads, T, K]: scaled, repeated for heads of a group, of length 1."""
    scale, factor = 1.0, fixed_factor(value.node, constants)
    if factor is not None:
        value, scale = factor
    if is_turn(value.node):
        value = value.node.inputs[0]
    value = before_reshapes(_repeated(value, constants))
    epsilon, unit = None, _of_unit_length(value, constants)
    if unit is not None:
        value, epsilon = unit
    return _Keys(value, scale, epsilon)


def _repeated(value: Value, constants: Constants) -> Value:
    """Heads [1, T, groups, K] before each is repeated for the heads of its group."""
    node = before_reshapes(value).node
    if node.kind != "Gather" or constants.integers(node.inputs[2]) != [2]:
        return value
    source, places = node.inputs[0], constants.integers(node.inputs[1])
    groups = source.shape[2]
    if not isinstance(groups, int) or places is None or len(places) % groups:
        return value
    times = len(places) // groups
    return source if places == np.repeat(np.arange(groups), times).tolist() else value


def _of_unit_length(value: Value, constants: Constants) -> tuple[Value, float] | None:
    """What is multiplied with 1 / sqrt(sum of squares + epsilon), and epsilon; None for others."""
    node = value.node
    if node.kind != "Multiply":
        return None
    x, inverse = node.inputs
    root = inverse.node.inputs[1].node if inverse.node.kind == "Divide" else inverse.node
    total = root.inputs[0].node if root.kind == "Sqrt" else root
    if total.kind != "Add" or constants.scalar(inverse.node.inputs[0]) != 1:
        return None
    squares, epsilon = total.inputs[0].node, constants.scalar(total.inputs[1])
    if squares.kind != "ReduceSum" or epsilon is None:
        return None
    square = squares.inputs[0].node
    if square.kind != "Multiply" or any(one is not x for one in square.inputs):
        return None
    return x, epsilon


def _ungrouped(value: Value) -> Value:
    """What groups of heads share, [1, T, groups, N], before it is repeated for their heads."""
    tile = value.node.inputs[0].node if value.node.kind == "Reshape" else value.node
    apart = tile.inputs[0].node if tile.kind == "Tile" else tile
    return apart.inputs[0] if apart.kind == "Unsqueeze" else value


def _strange(node: Node) -> Exception:
    return unsupported(f"its recurrence is none that is known ({node.name})")
