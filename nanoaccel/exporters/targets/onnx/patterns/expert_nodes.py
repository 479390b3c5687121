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
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.layout import Blocks, block_zero_points
from nanoaccel.exporters.targets.onnx.patterns.expert_parts import ExpertLinear, ExpertsNode
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
    weights = [part.weights for linear in node.linears.values() for part in linear.parts]
    floats = [one.scales is None for one in weights]
    if any(floats) and not all(floats):
        raise ExportError(
            f"some linears of the experts of {name} are compressed, some not", _REMEDY
        )
    if all(floats):
        given = _floats(node, x, routing, attributes, out, name)
    else:
        given = _codes(node, x, routing, attributes, out, name)
    if node.routing.logits:
        return [given]
    ones = out.numbers(np.ones((node.down.experts, 1), np.float32))
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
    for kind, linear in node.linears.items():
        dtype = np.result_type(*(part.weights.values.dtype for part in linear.parts))
        shape = (linear.experts, linear.rows, linear.columns)
        make = partial(linear.made, _values)
        stored = out.writer.stored(f"{name[1:]}.{kind}", make, dtype, shape)
        if dtype != np.float32:
            to = int(ir.DataType.FLOAT)
            stored = out.writer.add("Cast", [stored], f"{name}/{kind}/widened", to=to)
        inputs += [stored, _bias(linear, out)]
    return out.writer.add("MoE", inputs, f"{name}/MoE", _MICROSOFT, **attributes)


def _codes(
    node: ExpertsNode,
    x: ir.Value,
    routing: ir.Value,
    attributes: dict[str, object],
    out: PackedWriter,
    name: str,
) -> ir.Value:
    linears = node.linears
    form = _form([part.weights for one in linears.values() for part in one.parts], name)
    inputs: list[ir.Value | None] = [x, routing]
    zeros: list[ir.Value | None] = []
    for kind, linear in linears.items():
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
                stored[part] = out.writer.stored(
                    f"{name[1:]}.{kind}.{part}", partial(linear.made, make), dtype, shape
                )
        inputs += [stored["codes"], stored["scales"], _bias(linear, out)]
        zeros.append(stored.get("zeros"))
    inputs += [None] * 3  # a third linear
    inputs += zeros if form.zeros else []
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
