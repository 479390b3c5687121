"""Experts of a compressed graph in place of the builder's floats: MoE becomes QMoE.

OpenVINO's graphs keep gates and up projections of all experts apart, or in turns, one row of each;
QMoE has them in turns. Both linears of a layer have one width of codes and one size of groups
there: narrower codes are widened and scales repeated, which changes no weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import gcd

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.layout import Blocks, block_zero_points
from nanoaccel.exporters.targets.onnx.stacks import Stacks
from nanoaccel.exporters.targets.onnx.stored import Array, StoredWeight
from nanoaccel.exporters.targets.onnx.writer import FAST, Writer

_SMALLEST, _LARGEST = 16, 256  # groups that QMoE and its kernels take
_PROBES = 64  # rows that are compared
_FAR = 0.5  # no rounding is that far from its weights, and other weights are farther
_REMEDY = "Export it for OpenVINO: --runtime openvino"


@dataclass(frozen=True, slots=True)
class _Form:
    """How codes of a layer are stored: bits of one, weights of a group, whether zeros are."""

    bits: int
    group: int
    zeros: bool


@dataclass(frozen=True, slots=True)
class _Projection:
    """One linear of all experts.

    Args:
        experts: How many.
        parts: Rows [experts * N, in] of it, or of its gates and of its up projections.
    """

    experts: int
    parts: tuple[StoredWeight, ...]

    def codes(self, form: _Form) -> Array:
        """u8 [experts, rows, in * bits / 8]."""
        return self._in_turns([_widened(part, form.bits) for part in self.parts])

    def scales(self, form: _Form) -> Array:
        """f16 or f32 [experts, rows, groups]."""
        return self._in_turns([_repeated(part, part.scales, form) for part in self.parts])

    def zeros(self, form: _Form) -> Array:
        """u8 [experts, rows, bytes]."""
        each = [_repeated(part, _zeros_of(part), form) for part in self.parts]
        groups = each[0].shape[1]
        blocks = Blocks(form.group, groups, 1)
        return self._in_turns([block_zero_points(zeros, form.bits, blocks) for zeros in each])

    def _in_turns(self, arrays: Sequence[Array]) -> Array:
        apart = [array.reshape(self.experts, -1, array.shape[1]) for array in arrays]
        stacked = np.stack(apart, axis=2)
        return stacked.reshape(self.experts, -1, arrays[0].shape[1])


def replace_experts(writer: Writer, node: ir.Node, stacks: Stacks) -> ir.Value:
    """Write a mixture of experts in front of the builder's.

    Args:
        writer: Writes into the graph.
        node: A MoE of the builder.
        stacks: Those of the compressed graph of the same model.

    Returns:
        What takes the place of the node's output.

    Raises:
        ExportError: The compressed graph has not got these experts.
    """
    writer.before(node)
    inputs = [*node.inputs, None, None][:6]
    gate_up, down = (_floats(inputs[index]) for index in (2, 4))
    name = str(node.name).removesuffix("/MoE")
    attributes = {key: attribute.value for key, attribute in node.attributes.items()}
    first = _find(gate_up, stacks) or _find_apart(gate_up, stacks)
    second = _find(down, stacks)
    if first is None and second is None and stacks.floats is not None:
        for index, array in ((2, gate_up), (4, down)):
            inputs[index] = writer.floats(array, stacks.floats, f"{name}.{index}")
        return writer.add("MoE", inputs, f"{name}/MoE", node.domain, **attributes)
    if first is None or second is None:
        raise ExportError(f"the experts of {name} were not found in the compressed graph", _REMEDY)
    projections = {
        f"{name}.gate_up": _Projection(len(gate_up), first),
        f"{name}.down": _Projection(len(down), second),
    }
    form = _form([part for one in projections.values() for part in one.parts], name)
    made: list[ir.Value | None] = [inputs[0], inputs[1]]
    for (place, one), bias in zip(projections.items(), (inputs[3], inputs[5]), strict=True):
        made += [_store(writer, one, form, place, kind) for kind in ("codes", "scales")]
        made.append(_bias(bias))
    made += [None] * 3  # a third linear
    if form.zeros:
        made += [_store(writer, one, form, place, "zeros") for place, one in projections.items()]
    more = {"expert_weight_bits": form.bits, "block_size": form.group, "accuracy_level": FAST}
    return writer.add("QMoE", made, f"{name}/QMoE", node.domain, **attributes, **more)


def _store(writer: Writer, one: _Projection, form: _Form, name: str, kind: str) -> ir.Value:
    """Codes, scales or zero points of a linear."""
    first = one.parts[0]
    assert first.scales is not None
    rows = sum(part.rows for part in one.parts) // one.experts
    groups = first.columns // form.group
    width = {
        "codes": first.columns * form.bits // 8,
        "scales": groups,
        "zeros": -(-groups * form.bits // 8),
    }[kind]
    types = {part.scales.dtype for part in one.parts if part.scales is not None}
    dtype = np.result_type(*types) if kind == "scales" else np.dtype(np.uint8)
    make = partial(getattr(one, kind), form)
    return writer.stored(f"{name}.{kind}", make, dtype, (one.experts, rows, width))


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
    return _Form(bits, group, zeros)


def _floats(value: ir.Value | None) -> NDArray[np.float32]:
    assert value is not None
    assert value.const_value is not None
    array: NDArray[np.float32] = value.const_value.numpy()
    return array


def _bias(value: ir.Value | None) -> ir.Value | None:
    """A bias; none where it only adds zeros."""
    return value if value is not None and _floats(value).any() else None


def _find(floats: NDArray[np.float32], stacks: Stacks) -> tuple[StoredWeight, ...] | None:
    """The stack [experts, out, in] that rounds these numbers; None when there is none."""
    found = stacks.compressed.get((floats.shape[0], floats.shape[1], floats.shape[2]), ())
    rows = floats.reshape(-1, floats.shape[2])
    probes = np.linspace(0, len(rows) - 1, min(_PROBES, len(rows))).astype(np.int64)
    wanted = rows[probes]
    size = float(np.linalg.norm(wanted))
    for stack in found:
        if float(np.linalg.norm(stack.take(probes).dequantize() - wanted)) <= _FAR * size:
            return (stack,)
    return None


def _find_apart(floats: NDArray[np.float32], stacks: Stacks) -> tuple[StoredWeight, ...] | None:
    """The stacks of gates and of up projections."""
    gate, up = _find(floats[:, ::2], stacks), _find(floats[:, 1::2], stacks)
    return None if gate is None or up is None else (*gate, *up)


def _widened(part: StoredWeight, bits: int) -> Array:
    """Codes in some bits."""
    if part.bits == bits:
        return part.values
    return np.stack([part.values & 15, part.values >> 4], -1).reshape(part.rows, -1)


def _zeros_of(part: StoredWeight) -> NDArray[np.uint8]:
    if part.zero_points is not None:
        return part.zero_points
    return np.full((part.rows, part.groups), 1 << (part.bits - 1), np.uint8)


def _repeated(part: StoredWeight, numbers: Array | None, form: _Form) -> Array:
    """Numbers of groups, for each group of a form."""
    assert numbers is not None
    return numbers.repeat(part.columns // part.groups // form.group, axis=1)
