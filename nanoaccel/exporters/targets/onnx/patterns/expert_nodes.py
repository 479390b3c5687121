"""Writes a mixture of experts: QMoE over codes, MoE over floats, or NanoAccel's own of either.

All want rows of gates and of up projections in turns, and both linears of a layer in one width of
codes and one size of groups: narrower codes are widened and scales repeated, which changes no
weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import gcd, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from nanoaccel.bundle.packed_graph import EXPERTS, FLOAT_EXPERTS, SHARES_TOTAL
from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.layout import Blocks, block_zero_points
from nanoaccel.exporters.targets.onnx.patterns.expert_parts import (
    Activation,
    ExpertLinear,
    ExpertsNode,
)
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
class _Form:
    """How codes of a layer are stored; whether zero points are."""

    bits: int
    group: int
    scales: np.dtype[Any]
    zeros: bool


def write_experts(
    node: ExpertsNode, out: PackedWriter, values: Sequence[ir.Value]
) -> Sequence[ir.Value]:
    """Write it, from the states [T, H] and the logits or shares [T, experts].

    Raises:
        ExportError: Groups of weights would be smaller than any kernel takes.
    """
    name = out.unique(path_of(node.name))
    weights = [part.weights for linear in node.linears.values() for part in linear.parts]
    floats = [one.scales is None for one in weights]
    if any(floats) and not all(floats):
        raise ExportError(
            f"some linears of the experts of {name} are compressed, some not", _REMEDY
        )
    form = None if all(floats) else _form(weights, name)
    linears = [
        _floats(one, out, f"{name[1:]}.{kind}")
        if form is None
        else _codes(one, form, out, f"{name[1:]}.{kind}")
        for kind, one in node.linears.items()
    ]
    if node.gate.activation is not Activation.SILU or not node.gate.gated:
        return [_own(node, form, values, linears, out, name)]
    x, told = values
    routing = told if node.routing.logits else _logits(told, out, name)
    given = _stock(node, form, (x, routing), linears, out, name)
    if node.routing.logits:
        return [given]
    ones = out.numbers(np.ones((node.down.experts, 1), np.float32))
    total = out.writer.add("MatMul", [told, ones], f"{name}{SHARES_TOTAL}")
    return [out.writer.add("Mul", [given, total], f"{name}/scaled")]


def _logits(shares: ir.Value, out: PackedWriter, name: str) -> ir.Value:
    """Numbers whose softmax are these shares, up to their sum."""
    least = out.numbers(np.float32(_LEAST).reshape(()))
    raised = out.writer.add("Max", [shares, least], f"{name}/raised")
    return out.writer.add("Log", [raised], f"{name}/logits")


@dataclass(frozen=True, slots=True, eq=False)
class _Written:
    """What is stored of a linear: codes, or floats, which have no scales."""

    values: ir.Value
    bias: ir.Value | None
    scales: ir.Value | None = None
    zeros: ir.Value | None = None


def _floats(linear: ExpertLinear, out: PackedWriter, name: str) -> _Written:
    dtype = np.result_type(*(part.weights.values.dtype for part in linear.parts))
    shape = (linear.experts, linear.rows, linear.columns)
    stored = out.writer.stored(name, partial(linear.made, _values), dtype, shape)
    return _Written(stored, _bias(linear, out))


def _codes(linear: ExpertLinear, form: _Form, out: PackedWriter, name: str) -> _Written:
    groups = linear.columns // form.group
    stored = {}
    for part, (make, width) in {
        "codes": (partial(_widened, bits=form.bits), linear.columns * form.bits // 8),
        "scales": (partial(_scales, form=form), groups),
        "zeros": (partial(_packed_zeros, form=form), -(-groups * form.bits // 8)),
    }.items():
        if part != "zeros" or form.zeros:
            dtype = form.scales if part == "scales" else np.dtype(np.uint8)
            shape = (linear.experts, linear.rows, width)
            made = partial(linear.made, make)
            stored[part] = out.writer.stored(f"{name}.{part}", made, dtype, shape)
    return _Written(stored["codes"], _bias(linear, out), stored["scales"], stored.get("zeros"))


def _own(
    node: ExpertsNode,
    form: _Form | None,
    values: Sequence[ir.Value],
    linears: Sequence[_Written],
    out: PackedWriter,
    name: str,
) -> ir.Value:
    """A node of NanoAccel's, which takes shares as they are; stock ones know no such gate."""
    inputs: list[ir.Value | None] = [*values]
    for one in linears:
        inputs += [one.values, one.scales, one.zeros, one.bias]
    down, gate = node.linears["down"], node.gate
    return out.own(
        FLOAT_EXPERTS if form is None else EXPERTS,
        inputs,
        f"{name}/Experts",
        experts=down.experts,
        hidden=down.rows,
        inner=down.columns,
        top_k=node.routing.count,
        bits=0 if form is None else form.bits,
        block_size=0 if form is None else form.group,
        activation=int(gate.activation),
        shares=int(not node.routing.logits),
        alpha=gate.alpha,
        beta=gate.beta,
        limit=gate.limit,
    )


def _stock(
    node: ExpertsNode,
    form: _Form | None,
    values: Sequence[ir.Value],
    linears: Sequence[_Written],
    out: PackedWriter,
    name: str,
) -> ir.Value:
    """QMoE, or MoE, for which floats of other types are widened when the graph is loaded."""
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
    inputs: list[ir.Value | None] = [*values]
    if form is None:
        for kind, one in zip(node.linears, linears, strict=True):
            stored, to = one.values, int(ir.DataType.FLOAT)
            if stored.dtype != ir.DataType.FLOAT:
                stored = out.writer.add("Cast", [stored], f"{name}/{kind}/widened", to=to)
            inputs += [stored, one.bias]
        return out.writer.add("MoE", inputs, f"{name}/MoE", _MICROSOFT, **attributes)
    for one in linears:
        inputs += [one.values, one.scales, one.bias]
    inputs += [None] * 3  # a third linear
    inputs += [one.zeros for one in linears] if form.zeros else []
    more = {"expert_weight_bits": form.bits, "block_size": form.group, "accuracy_level": FAST}
    return out.writer.add("QMoE", inputs, f"{name}/QMoE", _MICROSOFT, **attributes, **more)


def _values(part: StoredWeight) -> Array:
    return part.values


def _bias(linear: ExpertLinear, out: PackedWriter) -> ir.Value | None:
    bias = linear.bias
    return None if bias is None else out.numbers(bias)


def _form(parts: Sequence[StoredWeight], name: str) -> _Form:
    """The form that all matrices of a layer can have.

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
    scales = np.result_type(*(part.scales for part in parts if part.scales is not None))
    return _Form(bits, group, scales, zeros)


def _widened(part: StoredWeight, bits: int) -> Array:
    """Codes in some bits."""
    if part.bits == bits:
        return part.values
    return np.stack([part.values & 15, part.values >> 4], -1).reshape(part.rows, -1)


def _scales(part: StoredWeight, form: _Form) -> Array:
    assert part.scales is not None
    return _repeated(part, part.scales, form).astype(form.scales, copy=False)


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
