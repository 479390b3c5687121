"""Puts rounded weights into a graph, in the nodes that its CPU plugin computes with as they are.

    u4 [out, groups, group] -> Convert -> Subtract(zero points) -> Multiply(scales) -> Reshape

i4 and i8 without the subtraction where integers are symmetric. Rows of 8 bits are one group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nanoaccel.exporters.quantize.compression.integers.checked import Rounds
from nanoaccel.exporters.quantize.compression.integers.grid import Codes, Grid
from nanoaccel.exporters.quantize.compression.layers import Layer

if TYPE_CHECKING:
    import openvino as ov
    import torch
    from numpy.typing import NDArray

Allocate: TypeAlias = Callable[["ov.Type", Sequence[int]], "ov.Tensor"]

_NUMBERS = 1 << 18  # of a matrix that are rounded at once: they stay in the cache


def round_layer(
    layer: Layer,
    operations: Sequence[ov.Node],
    grid: Grid,
    importance: NDArray[np.float32] | None,
    allocate: Allocate,
    rounds: Rounds,
) -> None:
    """Replace the weights of a layer by integers, in place.

    Args:
        layer: A layer of a graph, with float weights.
        operations: Those that read its weights.
        grid: What they are rounded to.
        importance: Mean squares of its inputs, f32[1 or matrices, inputs]; None rounds without.
        allocate: Gives a tensor of a type and a shape for the integers.
        rounds: Rounds rows.
    """
    leaf, ports = stored_weight(operations), [_port(node) for node in operations]
    turned = not all(_is_upright(node) for node in operations)
    stored = _stored(leaf)
    matrix = stored.swapaxes(-1, -2) if turned else stored
    rows = [*leaf.get_output_shape(0)[:-2], layer.outputs]
    parts = _rounded(
        matrix.reshape(-1, *matrix.shape[-2:]), rows, grid, importance, allocate, rounds
    )
    kind = operations[0].input_value(ports[0]).get_element_type()
    value = _decompressed(layer.name, parts, [*rows, layer.inputs], kind)
    for node, port in zip(operations, ports, strict=True):
        if turned:
            _replace_product(node, value)
        else:
            node.input(port).replace_source_output(value)


def stored_weight(operations: Sequence[ov.Node]) -> ov.Node:
    """The constant that operations read as their weights, directly or converted."""
    leaf = operations[0].input_value(_port(operations[0])).get_node()
    while leaf.get_type_name() != "Constant":
        leaf = leaf.input_value(0).get_node()
    return leaf


def _port(node: ov.Node) -> int:
    return 0 if node.get_type_name() == "Gather" else 1


def _is_upright(node: ov.Node) -> bool:
    """Whether a reader takes a matrix as [outputs, inputs]."""
    return node.get_type_name() == "Gather" or bool(node.get_attributes()["transpose_b"])


def _replace_product(node: ov.Node, weight: ov.Output) -> None:
    """Put a product with a matrix [outputs, inputs] in the place of one with [inputs, outputs]."""
    from openvino import opset13 as ops

    name, names = node.get_friendly_name(), node.output(0).get_names()
    across = bool(node.get_attributes()["transpose_a"])
    product = ops.matmul(node.input_value(0), weight, across, True)
    node.output(0).replace(product.output(0))
    node.set_friendly_name(f"{name} before")
    product.set_friendly_name(name)
    product.output(0).set_names(names)


def _stored(leaf: ov.Node) -> NDArray[Any]:
    """The floats of a constant, not copied; the upper halves of bf16, which numpy has not."""
    kinds = {"f32": np.float32, "f16": np.float16, "bf16": np.int16}
    kind = kinds[leaf.get_element_type().get_type_name()]
    floats: NDArray[Any] = leaf.data.reshape(-1).view(kind)
    return floats.reshape(list(leaf.get_output_shape(0)))


def _floats(some: NDArray[Any]) -> torch.Tensor:
    """Stored floats as f32."""
    import torch

    found = torch.from_numpy(some)
    return (found.view(torch.bfloat16) if found.dtype == torch.int16 else found).float()


@dataclass(frozen=True, slots=True)
class _Parts:
    """What rounded weights are stored as.

    Args:
        integers: [..., outputs, groups, group], or [..., outputs, inputs] where a row is a group.
        scales: f16[..., outputs, groups, 1], or [..., outputs, 1].
        zeros: Zero points of that shape; None where they are all the middle.
    """

    integers: ov.Tensor
    scales: ov.Tensor
    zeros: ov.Tensor | None


def _rounded(
    matrices: NDArray[Any],
    rows: Sequence[int],
    grid: Grid,
    importance: NDArray[np.float32] | None,
    allocate: Allocate,
    rounds: Rounds,
) -> _Parts:
    """Round matrices [matrices, outputs, inputs] some rows at a time."""
    import openvino as ov
    import torch

    outputs, inputs = matrices.shape[1:]
    groups = inputs // grid.group
    many = [*rows, inputs] if grid.by_row else [*rows, groups, grid.group]
    few = [*many[:-1], 1]
    kind = getattr(ov.Type, f"{'i' if grid.symmetric else 'u'}{grid.bits}")
    parts = _Parts(
        allocate(kind, many),
        allocate(ov.Type.f16, few),
        None if grid.symmetric else allocate(kind, few),
    )
    shares = None if importance is None else torch.from_numpy(importance)
    step = max(2, _NUMBERS // inputs // 2 * 2)  # no step ends within a byte
    for begin in range(0, len(matrices) * outputs, step):
        here = np.arange(begin, min(begin + step, len(matrices) * outputs))
        some = _floats(matrices[here // outputs, here % outputs])
        if shares is not None and len(shares) > 1:
            codes = rounds(some, grid, shares[torch.from_numpy(here // outputs)])
        else:
            codes = rounds(some, grid, None if shares is None else shares[0])
        _store(parts, codes, grid, begin * inputs, begin * groups)
    return parts


def _store(parts: _Parts, codes: Codes, grid: Grid, place: int, group: int) -> None:
    """Write the codes of some rows: those of symmetric groups in two's complement."""
    sign = grid.middle if grid.symmetric else 0
    _write(parts.integers, codes.integers.numpy() ^ np.uint8(sign), grid.bits, place)
    scales = codes.scales.numpy().ravel()
    parts.scales.data.reshape(-1)[group : group + scales.size] = scales
    if parts.zeros is not None:
        _write(parts.zeros, codes.zeros.numpy(), grid.bits, group)


def _write(tensor: ov.Tensor, codes: NDArray[np.uint8], bits: int, place: int) -> None:
    """Write codes from a place on, two in a byte where they have 4 bits, the earlier one lower."""
    flat: NDArray[np.uint8] = codes.ravel()
    if bits == 4:
        flat = np.pad(flat, (0, flat.size % 2))
        flat, place = flat[::2] | flat[1::2] << np.uint8(4), place // 2
    tensor.data.reshape(-1).view(np.uint8)[place : place + flat.size] = flat


def _decompressed(name: str, parts: _Parts, shape: Sequence[int], kind: ov.Type) -> ov.Output:
    """Nodes from the stored integers to the matrix."""
    import openvino as ov
    from openvino import opset13 as ops

    integers = ops.constant(parts.integers)
    integers.set_friendly_name(name)
    values = ops.convert(integers, ov.Type.f16)
    if parts.zeros is not None:
        zeros = ops.constant(parts.zeros)
        zeros.set_friendly_name(f"{name}/zero_point")
        values = ops.subtract(values, ops.convert(zeros, ov.Type.f16))
    scales = ops.constant(parts.scales)
    scales.set_friendly_name(f"{name}/scale")
    values = ops.multiply(values, scales)
    if len(parts.integers.shape) > len(shape):
        values = ops.reshape(values, ops.constant(np.array(shape, np.int64)), False)
    return (values if kind == ov.Type.f16 else ops.convert(values, kind)).output(0)


def in_memory(kind: ov.Type, shape: Sequence[int]) -> ov.Tensor:
    """A tensor in memory, for ``round_layer``."""
    import openvino as ov

    return ov.Tensor(kind, ov.Shape(list(shape)))
