"""Writes a mixture of experts: QMoE over codes, MoE over floats.

Both want rows of gates and of up projections in turns, and both linears of a layer in one width of
codes and one size of groups: narrower codes are widened and scales repeated, which changes no
weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import gcd, isfinite
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.layout import Blocks, block_zero_points
from nanoaccel.exporters.targets.onnx.source.names import path_of
from nanoaccel.exporters.targets.onnx.stored import Array, StoredWeight
from nanoaccel.exporters.targets.onnx.writer import FAST

if TYPE_CHECKING:
    from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter

_MICROSOFT = "com.microsoft"
_SMALLEST, _LARGEST = 16, 256  # groups that QMoE and its kernels take
_LEAST = 1e-30  # a share of an expert that is not chosen: its logarithm is finite
_REMEDY = "Export it for OpenVINO: --runtime openvino"


@dataclass(frozen=True, slots=True)
class Gate:
    """What becomes of the first product: ``g * sigmoid(alpha * g) * (u + beta)``.

    Args:
        in_turns: Whether gates and up projections take turns, or gates come first.
        alpha: See above.
        beta: See above.
        limit: What g is at most, and u within.
    """

    in_turns: bool
    alpha: float
    beta: float
    limit: float

    def compute(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The gate of numbers [..., 2 * inner]."""
        half = x.shape[-1] // 2
        g, u = (x[..., ::2], x[..., 1::2]) if self.in_turns else (x[..., :half], x[..., half:])
        g, u = np.minimum(g, self.limit), np.clip(u, -self.limit, self.limit)
        with np.errstate(over="ignore"):
            found: NDArray[np.float32] = g / (1 + np.exp(-self.alpha * g)) * (u + self.beta)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """One linear of all experts.

    Args:
        weights: Rows of all experts, [experts * rows, in].
        rows: Rows of one.
        bias: f32 [experts, rows]; None without.
    """

    weights: StoredWeight
    rows: int
    bias: NDArray[np.float32] | None

    @property
    def experts(self) -> int:
        """How many."""
        return self.weights.rows // self.rows


@dataclass(frozen=True, slots=True)
class Routing:
    """What tells how much experts count.

    Args:
        count: Experts that are chosen.
        logits: Whether it is logits, of which the largest are chosen, or shares.
    """

    count: int
    logits: bool


@dataclass(frozen=True, slots=True, eq=False)
class ExpertsNode:
    """A mixture of experts.

    Args:
        name: Name of its node.
        gate_up: First linear.
        down: Second linear.
        gate: What stands between them.
        routing: How experts are chosen.
    """

    name: str
    gate_up: Stack
    down: Stack
    gate: Gate
    routing: Routing


@dataclass(frozen=True, slots=True)
class _Form:
    """How codes of a layer are stored: bits of one, weights of a group, whether zeros are."""

    bits: int
    group: int
    zeros: bool


def write_experts(
    node: ExpertsNode, out: PackedWriter, values: Sequence[ir.Value]
) -> Sequence[ir.Value]:
    """Write it, from the states [T, H] and the logits or shares [T, experts].

    Raises:
        ExportError: Groups of weights would be smaller than any kernel takes.
    """
    name = out.unique(path_of(node.name))
    x, told = values
    routing = told if node.routing.logits else _logits(told, out, name)
    attributes: dict[str, object] = {
        "k": node.routing.count,
        "activation_type": "swiglu",
        "swiglu_fusion": 1,
        "normalize_routing_weights": 1,
        "activation_alpha": node.gate.alpha,
        "activation_beta": node.gate.beta,
    }
    if isfinite(node.gate.limit):
        attributes["swiglu_limit"] = node.gate.limit
    if node.gate_up.weights.scales is None or node.down.weights.scales is None:
        given = _floats(node, x, routing, attributes, out, name)
    else:
        given = _codes(node, x, routing, attributes, out, name)
    if node.routing.logits:
        return [given]
    ones = out.numbers(np.ones((node.gate_up.experts, 1), np.float32))
    total = out.writer.add("MatMul", [told, ones], f"{name}/total")
    return [out.writer.add("Mul", [given, total], f"{name}/scaled")]


def _logits(shares: ir.Value, out: PackedWriter, name: str) -> ir.Value:
    """Numbers whose softmax are these shares, up to their sum."""
    least = out.numbers(np.float32(_LEAST).reshape(()))
    raised = out.writer.add("Max", [shares, least], f"{name}/raised")
    return out.writer.add("Log", [raised], f"{name}/logits")


def _floats(
    node: ExpertsNode,
    x: ir.Value,
    routing: ir.Value,
    attributes: dict[str, object],
    out: PackedWriter,
    name: str,
) -> ir.Value:
    """MoE, which computes with f32; floats of other types are widened when the graph is loaded."""
    inputs: list[ir.Value | None] = [x, routing]
    for kind, one, in_turns in _linears(node):
        weights = one.weights
        if weights.scales is not None:
            raise ExportError(
                f"one linear of the experts of {name} is compressed, one is not", _REMEDY
            )
        shape = (one.experts, one.rows, weights.columns)
        make = partial(_arranged, weights.values, one, in_turns=in_turns)
        stored = out.writer.stored(f"{name[1:]}.{kind}", make, weights.values.dtype, shape)
        if weights.values.dtype != np.float32:
            to = int(ir.DataType.FLOAT)
            stored = out.writer.add("Cast", [stored], f"{name}/{kind}/widened", to=to)
        inputs += [stored, _bias(one, out, in_turns=in_turns)]
    return out.writer.add("MoE", inputs, f"{name}/MoE", _MICROSOFT, **attributes)


def _codes(
    node: ExpertsNode,
    x: ir.Value,
    routing: ir.Value,
    attributes: dict[str, object],
    out: PackedWriter,
    name: str,
) -> ir.Value:
    form = _form((node.gate_up.weights, node.down.weights), name)
    inputs: list[ir.Value | None] = [x, routing]
    zeros: list[ir.Value | None] = []
    for kind, one, in_turns in _linears(node):
        weights = one.weights
        assert weights.scales is not None
        groups = weights.columns // form.group
        parts = {
            "codes": (partial(_widened, weights, form.bits), weights.columns * form.bits // 8),
            "scales": (partial(_repeated, weights, weights.scales, form), groups),
            "zeros": (partial(_packed_zeros, weights, form), -(-groups * form.bits // 8)),
        }
        stored = {}
        for part, (make, width) in parts.items():
            dtype = weights.scales.dtype if part == "scales" else np.dtype(np.uint8)
            arranged = partial(_made, make, one, in_turns=in_turns)
            shape = (one.experts, one.rows, width)
            if part != "zeros" or form.zeros:
                stored[part] = out.writer.stored(
                    f"{name[1:]}.{kind}.{part}", arranged, dtype, shape
                )
        inputs += [stored["codes"], stored["scales"], _bias(one, out, in_turns=in_turns)]
        zeros.append(stored.get("zeros"))
    inputs += [None] * 3  # a third linear
    inputs += zeros if form.zeros else []
    more = {"expert_weight_bits": form.bits, "block_size": form.group, "accuracy_level": FAST}
    return out.writer.add("QMoE", inputs, f"{name}/QMoE", _MICROSOFT, **attributes, **more)


def _linears(node: ExpertsNode) -> list[tuple[str, Stack, bool]]:
    """Both linears, and whether rows are as they are wanted."""
    return [("gate_up", node.gate_up, node.gate.in_turns), ("down", node.down, True)]


def _made(make: partial[Array], one: Stack, *, in_turns: bool) -> Array:
    return _arranged(make(), one, in_turns=in_turns)


def _arranged(rows: Array, one: Stack, *, in_turns: bool) -> Array:
    """Rows of each expert, [experts, rows, ...], gates and up projections in turns."""
    apart = rows.reshape(one.experts, one.rows, -1)
    if in_turns:
        return apart
    half = one.rows // 2
    return np.stack([apart[:, :half], apart[:, half:]], axis=2).reshape(apart.shape)


def _bias(one: Stack, out: PackedWriter, *, in_turns: bool) -> ir.Value | None:
    """A bias; none where it only adds zeros."""
    if one.bias is None or not one.bias.any():
        return None
    return out.numbers(np.ascontiguousarray(_arranged(one.bias, one, in_turns=in_turns)[..., 0]))


def _form(parts: Sequence[StoredWeight], name: str) -> _Form:
    """The form that both matrices of a layer can have.

    Raises:
        ExportError: Groups would be smaller than any kernel takes.
    """
    common = gcd(*(part.columns // part.groups for part in parts))
    group = min(common & -common, _LARGEST)
    if group < _SMALLEST:
        raise ExportError(
            f"the groups of the experts of {name} have blocks of {group} weights in common, and "
            f"ONNX Runtime's smallest are {_SMALLEST}",
            "Choose a group size of 32 or 64, or --runtime openvino",
        )
    bits = max(part.bits for part in parts)
    zeros = any(part.zero_points is not None or part.bits < bits for part in parts)
    return _Form(bits, group, zeros)


def _widened(part: StoredWeight, bits: int) -> Array:
    """Codes in some bits."""
    if part.bits == bits:
        return part.values
    return np.stack([part.values & 15, part.values >> 4], -1).reshape(part.rows, -1)


def _repeated(part: StoredWeight, numbers: Array, form: _Form) -> Array:
    """Numbers of groups, for each group of a form."""
    return numbers.repeat(part.columns // part.groups // form.group, axis=1)


def _packed_zeros(part: StoredWeight, form: _Form) -> Array:
    """Zero points of groups, as they lie in bytes."""
    zeros = part.zero_points
    if zeros is None:
        zeros = np.full((part.rows, part.groups), 1 << (part.bits - 1), np.uint8)
    repeated = _repeated(part, zeros, form)
    return block_zero_points(repeated, form.bits, Blocks(form.group, repeated.shape[1], 1))
