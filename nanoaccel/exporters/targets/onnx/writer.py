"""Writes stored matrices into an ONNX graph, no larger than they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.layout import (
    Blocks,
    block_values,
    block_zero_points,
    blocks_of,
)
from nanoaccel.exporters.targets.onnx.stored import Array, StoredWeight, join

FAST, EXACT = 4, 1  # MatMulNBits' accuracy_level: activations in int8, or in f32
_DOMAIN = "com.microsoft"
_NF4 = 1  # a quant_type


class Writer:
    """Adds nodes to a graph, at its end.

    Numbers of one key are stored once. What only widens or repeats numbers is done by nodes, which
    ONNX Runtime computes when it loads the graph.

    Args:
        graph: Is edited.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._stored: dict[tuple[str, str], ir.Value] = {}
        self._edited: dict[tuple[str | None, object, object], ir.Value] = {}

    def add(
        self, kind: str, inputs: Sequence[ir.Value | None], name: str, domain: str = "", **more: Any
    ) -> ir.Value:
        """A node of one output."""
        node = ir.node(kind, inputs, more, domain=domain, name=name)
        node.outputs[0].name = f"{name}/output_0"
        self._graph.append(node)
        return node.outputs[0]

    def split(self, value: ir.Value, widths: Sequence[int], name: str) -> Sequence[ir.Value]:
        """Parts of the last axis."""
        inputs, more = [value], {"axis": -1, "num_outputs": len(widths)}
        if len(set(widths)) > 1:
            inputs = [value, self.constant(np.array(widths, np.int64), f"{name}.widths")]
            more = {"axis": -1}
        node = ir.node("Split", inputs, more, num_outputs=len(widths), name=name)
        for index, part in enumerate(node.outputs):
            part.name = f"{name}/output_{index}"
        self._graph.append(node)
        return node.outputs

    def constant(self, array: Array, name: str) -> ir.Value:
        """A small stored array."""
        return self._keep(name, "", lambda: array, array.dtype, array.shape)

    def stored(
        self, name: str, make: Callable[[], Array], dtype: np.dtype[Any], shape: Sequence[int]
    ) -> ir.Value:
        """An array of any size, made when the graph is written."""
        return self._keep(name, "", make, dtype, shape)

    def product(self, x: ir.Value, parts: Sequence[StoredWeight], name: str) -> ir.Value:
        """The product of an input with the rows of matrices of one form."""
        weight = parts[0]
        x = self._edit_input(x, weight, name)
        if weight.scales is None:
            return self.add("MatMul", [x, self._floats(parts, name)], f"{name}/MatMul")
        whole = join([_without_values(part) for part in parts])
        blocks = blocks_of(weight)
        if weight.nf4:
            return self._nf4_product(x, parts, whole, blocks, name)
        inputs = [x, self._codes(parts, blocks), self._scales(whole, blocks, name)]
        if whole.zero_points is not None:
            inputs.append(self._zero_points(whole, blocks, name))
        rows = sum(part.rows for part in parts)
        return self.add(
            "MatMulNBits",
            inputs,
            f"{name}/MatMulNBits",
            _DOMAIN,
            K=weight.columns,
            N=rows,
            bits=weight.bits,
            block_size=blocks.size,
            accuracy_level=FAST,
        )

    def _nf4_product(
        self,
        x: ir.Value,
        parts: Sequence[StoredWeight],
        whole: StoredWeight,
        blocks: Blocks,
        name: str,
    ) -> ir.Value:
        """The codes are as MatMulBnb4 wants them: in one row, the earlier one in the upper half."""
        rows = sum(part.rows for part in parts)
        codes = self._keep(
            _key(parts),
            "nf4",
            lambda: np.concatenate([part.values << 4 | part.values >> 4 for part in parts]),
            np.dtype(np.uint8),
            (rows * whole.columns // 2,),
        )
        scales = self._reshape(self._scales(whole, blocks, name), [-1], f"{name}/scales/row")
        return self.add(
            "MatMulBnb4",
            [x, codes, scales],
            f"{name}/MatMulBnb4",
            _DOMAIN,
            K=whole.columns,
            N=rows,
            block_size=blocks.size,
            quant_type=_NF4,
        )

    def embedding(self, ids: ir.Value, weight: StoredWeight, name: str) -> ir.Value:
        """Rows of a matrix in f32, [1, T, in]: exactly those that were stored.

        Raises:
            ExportError: They are stored as NF4.
        """
        if weight.nf4:
            raise ExportError(
                f"{weight.key} is an embedding in nf4, which ONNX Runtime cannot look up in",
                "Keep it in int8, or choose --runtime openvino",
            )
        if weight.scales is None:
            table = self._keep(
                weight.key, "rows", lambda: weight.values, weight.raw.dtype, weight.raw.shape
            )
            rows = self.add("Gather", [table, ids], f"{name}/Gather", axis=0)
            return rows if rows_are_f32(weight) else self._cast(rows, f"{name}/Cast")
        blocks = blocks_of(weight)
        rows = self.add("Gather", [self._codes([weight], blocks), ids], f"{name}/Gather")
        if weight.bits == 4:
            rows = self._nibbles(rows, name)
        numbers = self._cast(rows, f"{name}/Cast")
        if blocks.size * blocks.count > weight.columns:
            numbers = self._reshape(numbers, [0, 0, blocks.size * blocks.count], f"{name}/row")
            ends = [self._integers([n]) for n in (0, weight.columns, -1)]
            numbers = self.add("Slice", [numbers, *ends], f"{name}/Slice")
        numbers = self._reshape(numbers, [0, 0, weight.groups, -1], f"{name}/groups")
        middle = self.constant(np.float32(1 << weight.bits - 1), f"middle_{weight.bits}")
        if weight.zero_points is not None:
            zeros = weight.zero_points
            table = self._keep(weight.key, "zeros", lambda: zeros, zeros.dtype, zeros.shape)
            middle = self._each_group(table, ids, f"{name}/zero_points")
        numbers = self.add("Sub", [numbers, middle], f"{name}/Sub")
        scales = self._each_group(self._stored_scales(weight), ids, f"{name}/scales")
        numbers = self.add("Mul", [numbers, scales], f"{name}/Mul")
        return self._reshape(numbers, [0, 0, weight.columns], f"{name}/Reshape")

    def _each_group(self, table: ir.Value, ids: ir.Value, name: str) -> ir.Value:
        rows = self.add("Gather", [table, ids], f"{name}/Gather", axis=0)
        numbers = self._cast(rows, f"{name}/Cast")
        return self.add("Unsqueeze", [numbers, self._integers([-1])], f"{name}/Unsqueeze")

    def _nibbles(self, octets: ir.Value, name: str) -> ir.Value:
        """The two 4-bit codes of each byte, side by side."""
        low = self.constant(np.uint8(15), "low_half")
        four = self.constant(np.uint8(4), "half_of_a_byte")
        halves = [
            self.add("BitwiseAnd", [octets, low], f"{name}/low"),
            self.add("BitShift", [octets, four], f"{name}/high", direction="RIGHT"),
        ]
        axis = self._integers([-1])
        columns = [
            self.add("Unsqueeze", [half, axis], f"{name}/half_{index}")
            for index, half in enumerate(halves)
        ]
        return self.add("Concat", columns, f"{name}/halves", axis=-1)

    def _edit_input(self, x: ir.Value, weight: StoredWeight, name: str) -> ir.Value:
        """What is done to the input of a projection; once for all that do the same."""
        if weight.input_scale is not None:
            key = (x.name, "scale", weight.input_scale.tobytes())
            if key not in self._edited:
                scale = self.constant(weight.input_scale, f"{name}.input_scale")
                self._edited[key] = self.add("Mul", [x, scale], f"{name}/scaled")
            x = self._edited[key]
        if weight.permutation is not None:
            key = (x.name, "order", weight.permutation.tobytes())
            if key not in self._edited:
                order = self.constant(weight.permutation, f"{name}.order")
                self._edited[key] = self.add("Gather", [x, order], f"{name}/ordered", axis=-1)
            x = self._edited[key]
        return x

    def _floats(self, parts: Sequence[StoredWeight], name: str) -> ir.Value:
        """A float matrix [in, out] in f32."""
        first = parts[0]
        rows = sum(part.rows for part in parts)
        if (first.key, "rows") in self._stored:  # the embedding's
            table = self._widened(self._stored[first.key, "rows"], first, name)
            return self.add("Transpose", [table], f"{name}/Transpose", perm=[1, 0])
        stored = self._keep(
            _key(parts),
            "columns",
            lambda: np.ascontiguousarray(np.concatenate([p.values for p in parts]).T),
            first.raw.dtype,
            (first.columns, rows),
        )
        return self._widened(stored, first, name)

    def _widened(self, stored: ir.Value, weight: StoredWeight, name: str) -> ir.Value:
        return stored if rows_are_f32(weight) else self._cast(stored, f"{name}/widened")

    def _codes(self, parts: Sequence[StoredWeight], blocks: Blocks) -> ir.Value:
        rows = sum(part.rows for part in parts)
        return self._keep(
            _key(parts),
            "codes",
            lambda: np.concatenate([block_values(part, blocks) for part in parts]),
            np.dtype(np.uint8),
            (rows, blocks.count, blocks.size * parts[0].bits // 8),
        )

    def _stored_scales(self, weight: StoredWeight) -> ir.Value:
        scales = weight.scales
        assert scales is not None
        return self._keep(weight.key, "scales", lambda: scales, scales.dtype, scales.shape)

    def _scales(self, weight: StoredWeight, blocks: Blocks, name: str) -> ir.Value:
        scales = self._stored_scales(weight)
        assert weight.scales is not None
        if weight.scales.dtype != np.float32:
            scales = self._cast(scales, f"{name}/scales/Cast")
        if blocks.repeat == 1:
            return scales
        groups, shape = weight.groups, [weight.rows, blocks.count]
        if groups == 1:
            return self._expand(scales, shape, f"{name}/scales/Expand")
        scales = self._reshape(scales, [weight.rows, groups, 1], f"{name}/scales/apart")
        scales = self._expand(scales, [weight.rows, groups, blocks.repeat], f"{name}/scales/Expand")
        return self._reshape(scales, shape, f"{name}/scales/Reshape")

    def _zero_points(self, weight: StoredWeight, blocks: Blocks, name: str) -> ir.Value:
        zeros = weight.zero_points
        assert zeros is not None
        if weight.bits == 8 and weight.groups == 1 and blocks.repeat > 1:
            stored = self._keep(weight.key, "zeros", lambda: zeros, zeros.dtype, zeros.shape)
            return self._expand(stored, [weight.rows, blocks.count], f"{name}/zero_points/Expand")
        packed = block_zero_points(zeros, weight.bits, blocks)
        kind = "zeros" if packed.shape == zeros.shape else "packed zeros"
        return self._keep(weight.key, kind, lambda: packed, packed.dtype, packed.shape)

    def _cast(self, value: ir.Value, name: str) -> ir.Value:
        return self.add("Cast", [value], name, to=int(ir.DataType.FLOAT))

    def _reshape(self, value: ir.Value, shape: Sequence[int], name: str) -> ir.Value:
        return self.add("Reshape", [value, self._integers(shape)], name)

    def _expand(self, value: ir.Value, shape: Sequence[int], name: str) -> ir.Value:
        return self.add("Expand", [value, self._integers(shape)], name)

    def _integers(self, numbers: Sequence[int]) -> ir.Value:
        return self.constant(np.array(numbers, np.int64), f"integers_{'_'.join(map(str, numbers))}")

    def _keep(
        self,
        key: str,
        kind: str,
        make: Callable[[], Array],
        dtype: np.dtype[Any],
        shape: Sequence[int],
    ) -> ir.Value:
        """An initializer, made when the graph is written."""
        if (key, kind) not in self._stored:
            name = f"{key}.{kind}" if kind else key
            tensor = ir.LazyTensor(
                lambda: ir.tensor(np.ascontiguousarray(make()).reshape(shape), name=name),
                ir.DataType.from_numpy(dtype),
                ir.Shape(shape),
                name=name,
            )
            value = ir.Value(
                name=name,
                shape=tensor.shape,
                type=ir.TensorType(tensor.dtype),
                const_value=tensor,
            )
            self._graph.register_initializer(value)
            self._stored[key, kind] = value
        return self._stored[key, kind]


def rows_are_f32(weight: StoredWeight) -> bool:
    """Whether a float matrix needs no conversion."""
    return weight.raw.dtype == np.float32


def _key(parts: Sequence[StoredWeight]) -> str:
    return "+".join(part.key for part in parts)


def _without_values(weight: StoredWeight) -> StoredWeight:
    """Scales and zero points alone, to join those now and the codes when they are written."""
    return replace(weight, raw=weight.raw[:, :0])
