"""Recurrences as loops over tokens, in the form that OpenVINO takes for one operator.

What it looks for stands in its passes GatedDeltaNetFusion and SelectiveSSMFusion. Where they do not
apply, the loop computes the same, more slowly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset14 as ops
from openvino.frontend.pytorch import ConversionExtension

_ANY = -1


def gated_delta(context: Any) -> list[ov.Output]:
    """Convert ``nanoaccel::gated_delta``.

    Inputs are query, key f32[B, H, T, K], value f32[B, H, T, D], gate and beta f32[B, H, T], and
    the state f32[B, H, K, D]; outputs the values read, f32[B, H, T, D], and the last state. The
    gate may be f32[B, H, T, K].
    """
    query, key, value, gate, beta, state = (context.get_input(index) for index in range(6))
    wide, narrow = [_ANY, _ANY, 1, _ANY], [_ANY, _ANY, 1]
    q, k, v = (_parameter(wide) for _ in range(3))
    fine = gate.get_partial_shape().rank.get_length() == len(wide)
    g, b = _parameter(wide if fine else narrow), _parameter(narrow)
    before, out = _parameter([_ANY] * 4), _parameter([_ANY] * 4)
    token = ops.parameter([], np.int32)
    axis = _number(2)
    query_t, key_t, value_t = (ops.squeeze(x, axis) for x in (q, k, v))
    gate_t = ops.squeeze(g, axis) if fine else g
    kept = ops.multiply(before, ops.unsqueeze(ops.exp(gate_t), _number(-1)))
    recalled = ops.multiply(kept, ops.unsqueeze(key_t, _number(-1)))
    recalled = ops.reduce_sum(recalled, _number(-2), False)
    learned = ops.multiply(ops.subtract(value_t, recalled), b)
    written = ops.multiply(ops.unsqueeze(key_t, _number(-1)), ops.unsqueeze(learned, _number(-2)))
    after = ops.add(kept, written)
    read = ops.multiply(after, ops.unsqueeze(query_t, _number(-1)))
    read = ops.reduce_sum(read, _number(-2), True)
    result = ops.scatter_update(out, ops.unsqueeze(token, _number(0)), read, axis)
    return _loop(
        axis=2,
        token=token,
        sliced=[(q, query), (k, key), (v, value), (g, gate), (b, beta)],
        state=(before, state, after),
        out=(out, value, result),
    )


def selective_scan(context: Any) -> list[ov.Output]:
    """Convert ``nanoaccel::selective_scan``.

    Inputs are the decay f32[H], steps f32[B, T, H], what is written f32[B, T, G, N], x
    f32[B, T, H, P], what is read f32[B, T, G, N], the state f32[B, H, P, N], the number
    of heads, and of heads in a group; outputs the values read, f32[B, T, H, P], and the last state.
    """
    decay, step, inward, x, outward, state = (context.get_input(index) for index in range(6))
    heads, times = (context.get_values_from_const_input(index) for index in (6, 7))
    decays = ops.exp(ops.multiply(decay, step))
    decays = ops.reshape(decays, ops.constant(np.array([0, 0, 0, 1, 1], np.int64)), True)
    inward, outward = (_per_head(value, heads, times) for value in (inward, outward))
    inward = ops.multiply(ops.unsqueeze(step, _number(-1)), inward)
    written = ops.multiply(ops.unsqueeze(inward, _number(-2)), ops.unsqueeze(x, _number(-1)))
    outward = ops.unsqueeze(outward, _number(-2))
    a, b, c = (_parameter([_ANY, 1, _ANY, *rest]) for rest in ((1, 1), (_ANY, _ANY), (1, _ANY)))
    before, out = _parameter([_ANY] * 4), _parameter([_ANY] * 4)
    token = ops.parameter([], np.int32)
    axis = _number(1)
    decay_t, written_t, outward_t = (ops.squeeze(value, axis) for value in (a, b, c))
    after = ops.add(ops.multiply(before, decay_t), written_t)
    read = ops.reduce_sum(ops.multiply(after, outward_t), _number(-1), False)
    result = ops.scatter_update(
        out, ops.unsqueeze(token, _number(0)), ops.unsqueeze(read, axis), axis
    )
    return _loop(
        axis=1,
        token=token,
        sliced=[(a, decays.output(0)), (b, written.output(0)), (c, outward.output(0))],
        state=(before, state, after),
        out=(out, x, result),
    )


def diagonal_scan(context: Any) -> list[ov.Output]:
    """Convert ``nanoaccel::diagonal_scan``.

    Inputs are the decay f32[H, N], steps f32[B, T, H], what is written f32[B, T, N], x
    f32[B, T, H], what is read f32[B, T, N], and the state f32[B, H, N]; outputs the values read,
    f32[B, T, H], and the last state.
    """
    decay, step, inward, x, outward, state = (context.get_input(index) for index in range(6))
    row = [_ANY, 1, _ANY]
    dt, b, xs, c = (_parameter(row) for _ in range(4))
    before, out = _parameter([_ANY] * 3), _parameter([_ANY] * 3)
    a = _parameter([_ANY] * 2)
    token = ops.parameter([], np.int32)
    axis = _number(1)
    step_t, x_t = (ops.unsqueeze(ops.squeeze(one, axis), _number(-1)) for one in (dt, xs))
    kept = ops.multiply(before, ops.exp(ops.multiply(step_t, a)))
    after = ops.add(kept, ops.multiply(ops.multiply(step_t, x_t), b))
    read = ops.reduce_sum(ops.multiply(after, c), _number(-1), False)
    result = ops.scatter_update(
        out, ops.unsqueeze(token, _number(0)), ops.unsqueeze(read, axis), axis
    )
    return _loop(
        axis=1,
        token=token,
        sliced=[(dt, step), (b, inward), (xs, x), (c, outward)],
        state=(before, state, after),
        out=(out, x, result),
        whole=(a, decay),
    )


RULES: Sequence[ConversionExtension] = (
    ConversionExtension("nanoaccel::gated_delta", gated_delta),
    ConversionExtension("nanoaccel::selective_scan", selective_scan),
    ConversionExtension("nanoaccel::diagonal_scan", diagonal_scan),
)


def _loop(
    *,
    axis: int,
    token: ov.Node,
    sliced: Sequence[tuple[ov.Node, Any]],
    state: tuple[ov.Node, Any, ov.Node],
    out: tuple[ov.Node, Any, ov.Node],
    whole: tuple[ov.Node, Any] | None = None,
) -> list[ov.Output]:
    """A loop over the tokens of an axis.

    Args:
        axis: Where tokens are.
        token: Parameter that is the number of the token.
        sliced: Parameters that are its part of some values.
        state: Parameter, first value, and what follows it.
        out: Parameter, a value of the output's shape, and what follows the parameter.
        whole: Parameter that is the same for all tokens, and its value.
    """
    _, like, result = out
    shape = ops.shape_of(like)
    tokens = ops.convert(ops.gather(shape, _number(axis), _number(0)), "i32")
    always = ops.constant([True], dtype=bool)
    fixed = [] if whole is None else [whole]
    parameters = [token, *(parameter for parameter, _ in (*sliced, *fixed)), state[0], out[0]]
    loop = ops.loop(tokens, ops.constant(True, dtype=bool))
    loop.set_function(ov.Model([always, state[2], result], parameters))
    for parameter, value in sliced:
        loop.set_sliced_input(parameter, value, 0, 1, 1, -1, axis)
    for parameter, value in fixed:
        loop.set_invariant_input(parameter, value)
    loop.set_merged_input(state[0], state[1], state[2].output(0))
    empty = ops.broadcast(ops.constant(0, dtype=np.float32), shape)
    loop.set_merged_input(out[0], empty.output(0), result.output(0))
    loop.set_special_body_ports([0, 0])
    values = loop.get_iter_value(result.output(0), -1)
    return [values, loop.get_iter_value(state[2].output(0), -1)]


def _per_head(groups: ov.Output, heads: int, times: int) -> ov.Node:
    """What groups of heads share, f32[B, T, G, N], for each head: f32[B, T, H, N]."""
    repeats = ops.constant(np.array([1, 1, 1, times, 1], np.int64))
    tiled = ops.tile(ops.unsqueeze(groups, _number(3)), repeats)
    return ops.reshape(tiled, ops.constant(np.array([0, 0, heads, -1], np.int64)), True)


def _parameter(shape: list[int]) -> ov.Node:
    return ops.parameter(shape, np.float32)


def _number(value: int) -> ov.Node:
    return ops.constant(value, dtype=np.int32)
