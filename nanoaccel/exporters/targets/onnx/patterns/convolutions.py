"""Causal convolutions over the tokens of a text, behind those that a state has.

    GroupConvolution(Concat(state, x)), Slice, bias, Swish -> CausalConvolution

The graph has channels before tokens, and the operator tokens before channels; its state is the last
inputs, one fewer than weights of a channel.

CausalConvolution (domain nanoaccel), T tokens of some sequences one after the other
  x       f32 [1, T, channels]
  weight  f32 [taps, channels], the latest token's last
  bias    f32 [channels], or none
  and the states, as ``packed_graph.STATE_INPUTS``
gives
  y       f32 [1, T, channels]
attributes silu (whether x * sigmoid(x) follows), state_offset (numbers of other layers in a state)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.patterns.plan import Pattern
from nanoaccel.exporters.targets.onnx.patterns.states import reads_state, turns
from nanoaccel.exporters.targets.onnx.patterns.turned import TURN, turned
from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import Node, SourceGraph, Tokens, Value
from nanoaccel.exporters.targets.onnx.source.trial import unsupported

if TYPE_CHECKING:
    from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter


@dataclass(frozen=True, slots=True, eq=False)
class _Convolution:
    """A convolution as the graph has it.

    Args:
        source: What it reads of new tokens.
        result: What it gives.
        weight: f32 [taps, channels].
        bias: f32 [channels]; None without.
        silu: Whether x * sigmoid(x) follows.
        turned: Whether the source has channels before tokens, and whether the result has.
    """

    source: Value
    result: Value
    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    silu: bool
    turned: tuple[bool, bool]


def find_convolutions(graph: SourceGraph, constants: Constants) -> Iterator[Pattern]:
    """Find the convolutions of all layers.

    Raises:
        UnsupportedModelError: One of them goes on from no state, or in another way.
    """
    for node in graph.of_kind("GroupConvolution"):
        found = _read(node, constants)
        place = found.result.node
        yield Pattern(place, [found.source], [found.result], partial(_write, found, place))


def _read(node: Node, constants: Constants) -> _Convolution:
    joined = node.inputs[0].node
    weight = constants.array(node.inputs[1]).astype(np.float32)
    channels, taps = weight.shape[0], weight.shape[-1]
    if joined.kind != "Concat" or len(joined.inputs) != 2 or weight.size != channels * taps:
        raise _strange(node)
    state, x = joined.inputs
    tokens = (1, channels, Tokens(1))
    if not reads_state(state, "conv") or state.shape[-1] != taps or x.shape != tokens:
        raise _strange(node)
    value, bias, silu = _behind(node, constants)
    if value.shape != tokens:
        raise _strange(node)
    turn = value.only_user()
    source_turned, result_turned = not turns(x.node, TURN, constants), True
    if turn is not None and turns(turn, TURN, constants):
        value, result_turned = turn.out, False
    return _Convolution(
        source=x if source_turned else x.node.inputs[0],
        result=value,
        weight=np.ascontiguousarray(weight.reshape(channels, taps).T),
        bias=bias,
        silu=silu,
        turned=(source_turned, result_turned),
    )


def _behind(node: Node, constants: Constants) -> tuple[Value, NDArray[np.float32] | None, bool]:
    """What follows a convolution: the value behind it, its bias, and whether SiLU is in it."""
    value, bias, silu = node.out, None, False
    user = value.only_user()
    if user is None or user.kind != "Slice" or constants.integers(user.inputs[1]) != [1]:
        raise _strange(node)
    value = user.out
    while (user := value.only_user()) is not None:
        if user.kind == "Slice" and user.out.shape == value.shape:
            value = user.out
        elif user.kind == "Add" and bias is None and not silu:
            (other,) = [one for one in user.inputs if one is not value] or [value]
            if not other.node.constant:
                break
            bias, value = constants.array(other).astype(np.float32).ravel(), user.out
        elif user.kind == "Swish" and len(user.inputs) == 1 and not silu:
            silu, value = True, user.out
        else:
            break
    return value, bias, silu


def _write(
    found: _Convolution, place: Node, out: PackedWriter, values: Sequence[ir.Value]
) -> Sequence[ir.Value]:
    name = out.name_of(place)
    (x,) = values
    if found.turned[0]:
        x = turned(x, out, name)
    taps, channels = found.weight.shape
    bias = None if found.bias is None else out.numbers(found.bias)
    made = out.with_state(
        "CausalConvolution",
        [x, out.numbers(found.weight), bias],
        (taps - 1) * channels,
        f"{name}/CausalConvolution",
        silu=int(found.silu),
    )
    if found.turned[1]:
        made = out.writer.add("Transpose", [made], f"{name}/back", perm=TURN)
    return [made]


def _strange(node: Node) -> Exception:
    return unsupported(f"it convolves over tokens in another way ({node.name})")
