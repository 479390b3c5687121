"""A packed ONNX graph: its matrices by the names of its initializers, and where they lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.targets.onnx.layout import block_zero_points, blocks_of
from nanoaccel.exporters.targets.onnx.runner import OnnxRunner
from nanoaccel.exporters.targets.onnx.save import DATA
from nanoaccel.exporters.targets.onnx.stored import Array, StoredWeight
from nanoaccel.finetune.recovery.graphs.patches import Patch, Place, patch_of
from nanoaccel.finetune.recovery.graphs.stored_graph import StoredGraph

_CODES, _SCALES = ".codes", ".scales"
_ZERO_POINTS = 3  # input of a product


@dataclass(frozen=True, slots=True)
class _Product:
    """A matrix that a node multiplies with.

    Args:
        key: What the names of its initializers begin with.
        modules: Those whose rows lie in it, one behind the other.
        zeros: The initializer of its zero points; None without.
    """

    key: str
    modules: tuple[str, ...]
    zeros: str | None


class OnnxGraph(StoredGraph):
    """A graph for ONNX Runtime.

    Args:
        path: Its file.
        rows: Rows of the matrix of each module.

    Raises:
        UnsupportedModelError: Its weights are stored in a way that is not read.
    """

    runtime: ClassVar[str] = "onnx"

    def __init__(self, path: Path, rows: Mapping[str, int]) -> None:
        self.path, self._rows = path, rows
        self._graph = ir.load(path).graph
        self._products: list[_Product] = []
        weights: dict[str, StoredWeight] = {}
        for node in self._graph:
            if node.op_type in ("QMoE", "MatMulBnb4"):
                what = "experts" if node.op_type == "QMoE" else "nf4"
                raise UnsupportedModelError(
                    f"{path} has {what}, which recovery does not learn",
                    "Recover a model without experts whose weights are int4",
                )
            if node.op_type == "MatMulNBits":
                weights.update(self._read(node, rows))
        self.weights = weights

    @property
    def data(self) -> Path:
        return self.path.with_name(DATA)

    def at(self, path: Path) -> OnnxGraph:
        return OnnxGraph(path, self._rows)

    def patches(self, changed: Mapping[str, StoredWeight]) -> Iterator[Patch]:
        for product in self._products:
            if not any(module in changed for module in product.modules):
                continue
            whole = [changed.get(module, self.weights[module]) for module in product.modules]
            blocks = blocks_of(whole[0])
            scales = [part.scales for part in whole if part.scales is not None]
            yield self._patch(product.key + _SCALES, np.concatenate(scales))
            zeros = [part.zero_points for part in whole if part.zero_points is not None]
            if product.zeros is not None:
                packed = block_zero_points(np.concatenate(zeros), whole[0].bits, blocks)
                yield self._patch(product.zeros, packed)

    def load(self) -> OnnxRunner:
        return OnnxRunner(self.path)

    def _patch(self, name: str, numbers: Array) -> Patch:
        tensor = self._graph.initializers[name].const_value
        if not isinstance(tensor, ir.ExternalTensor) or tensor.length is None:
            raise UnsupportedModelError(
                f"{name} does not lie in {self.data}", "Export the model again"
            )
        return patch_of(Place(tensor.offset or 0, tensor.length), numbers, name)

    def _read(self, node: ir.Node, rows: Mapping[str, int]) -> dict[str, StoredWeight]:
        """The matrices of a node, by module."""
        codes_of = node.inputs[1]
        assert codes_of is not None
        assert codes_of.name is not None
        key = codes_of.name.removesuffix(_CODES)
        modules = tuple(key.split("+"))
        if any(module not in rows for module in modules):
            raise UnsupportedModelError(
                f"{self.path} has a matrix of {key}, which the original has not",
                "Export the model again, and recover that bundle",
            )
        columns, bits = node.attributes["K"].as_int(), node.attributes["bits"].as_int()
        scales, codes = self._numbers(key + _SCALES), self._numbers(key + _CODES)
        zeros = self._name_of_zeros(node)
        whole = StoredWeight(
            key=key,
            raw=codes.reshape(len(codes), -1)[:, : columns * bits // 8],
            columns=columns,
            bits=bits,
            scales=scales,
            zero_points=None,
        )
        if zeros is not None:
            whole = replace(whole, zero_points=self._zero_points(zeros, whole))
        whole = _with_input(whole, node.inputs[0])
        self._products.append(_Product(key, modules, zeros))
        begins = np.cumsum([0, *(rows[module] for module in modules)])
        return {
            module: whole.slice(int(begin), int(end))
            for module, begin, end in zip(modules, begins[:-1], begins[1:], strict=True)
        }

    def _numbers(self, name: str) -> Array:
        value = self._graph.initializers[name].const_value
        assert value is not None
        return value.numpy()

    def _name_of_zeros(self, node: ir.Node) -> str | None:
        """The initializer of a product's zero points; it may be widened on its way."""
        value = node.inputs[_ZERO_POINTS] if len(node.inputs) > _ZERO_POINTS else None
        producer = None if value is None else value.producer()
        if producer is not None:
            value = producer.inputs[0]
        return None if value is None else value.name

    def _zero_points(self, name: str, weight: StoredWeight) -> NDArray[np.uint8]:
        """One in a byte for each group, of those for each block."""
        found, blocks = self._numbers(name), blocks_of(weight)
        if weight.bits == 4:
            found = np.stack([found & 15, found >> 4], -1).reshape(len(found), -1)
        if found.shape[1] < blocks.count:  # one for a row
            return found
        return found[:, : blocks.count : blocks.repeat]


def _with_input(weight: StoredWeight, value: ir.Value | None) -> StoredWeight:
    """Add what is done to the input on its way to the product."""
    node = None if value is None else value.producer()
    if node is not None and node.op_type == "Gather":
        order = None if node.inputs[1] is None else node.inputs[1].const_value
        if order is not None and node.inputs[0] is not None:
            moved = replace(weight, permutation=order.numpy())
            return _with_input(moved, node.inputs[0])
    if node is not None and node.op_type == "Mul":
        name = None if node.inputs[1] is None else node.inputs[1].name
        factor = None if node.inputs[1] is None else node.inputs[1].const_value
        if factor is not None and name is not None and name.endswith(".input_scale"):
            return replace(weight, input_scale=factor.numpy().ravel())
    return weight
