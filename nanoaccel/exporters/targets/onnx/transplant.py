"""Puts the weights of a compressed graph in place of the builder's floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.errors import ExportError
from nanoaccel.exporters.progress import Tell, silence
from nanoaccel.exporters.targets.onnx.experts import replace_experts
from nanoaccel.exporters.targets.onnx.stacks import Stacks
from nanoaccel.exporters.targets.onnx.stored import StoredWeight
from nanoaccel.exporters.targets.onnx.weight_matching import WeightMatcher
from nanoaccel.exporters.targets.onnx.weights import GraphWeights
from nanoaccel.exporters.targets.onnx.writer import Writer


@dataclass(frozen=True, slots=True)
class Product:
    """A product of the builder's graph.

    Args:
        node: The MatMul.
        weights: Stored matrices whose rows, one after the other, are its matrix.
    """

    node: ir.Node
    weights: tuple[StoredWeight, ...]

    @property
    def name(self) -> str:
        """Name of the node, without its kind."""
        return str(self.node.name).removesuffix("/MatMul")

    @property
    def width(self) -> int:
        """Numbers that it gives."""
        return sum(weight.rows for weight in self.weights)

    @property
    def form(self) -> tuple[object, ...] | None:
        """Form of all its matrices; None when they differ."""
        forms = {weight.form() for weight in self.weights}
        return forms.pop() if len(forms) == 1 else None


def transplant(
    graph: ir.Graph,
    weights: GraphWeights,
    stacks: Stacks,
    matcher: WeightMatcher,
    tell: Tell = silence,
) -> None:
    """Replace every product, mixture of experts and the embedding, in place.

    Products of one input become one product where their matrices are stored alike; a product whose
    parts are stored differently becomes several.

    Args:
        graph: Graph of the builder, f32.
        weights: Weights of the compressed graph of the same model.
        stacks: Its experts.
        matcher: The checkpoint that the builder read.
        tell: Called with the share that is done.

    Raises:
        ExportError: A matrix is none of the checkpoint's, or the compressed graph has not got it.
    """
    writer = Writer(graph)
    nodes = list(graph)
    parallel: dict[tuple[ir.Value, object], list[Product]] = {}
    for index, node in enumerate(nodes):
        tell(index / len(nodes))
        if node.op_type == "Gather" and (table := _matrix_of(node, 0)) is not None:
            _replace_embedding(writer, node, _stored(table, node, matcher, weights, embedding=True))
        elif node.op_type == "MatMul" and (matrix := _matrix_of(node, 1)) is not None:
            product = Product(node, _stored(matrix.T, node, matcher, weights))
            source = node.inputs[0]
            assert source is not None
            apart = product.form if product.form is not None else node
            parallel.setdefault((source, apart), []).append(product)
        elif node.op_type == "MoE":
            _take_over(node.outputs[0], replace_experts(writer, node, stacks))
            graph.remove(node, safe=True)
    for products in parallel.values():
        _replace_products(writer, products)
    for product in (product for products in parallel.values() for product in products):
        graph.remove(product.node, safe=True)


def _matrix_of(node: ir.Node, index: int) -> NDArray[np.float32] | None:
    """The stored matrix that a node reads, directly or transposed; None when it is computed."""
    value = node.inputs[index]
    if value is None:
        return None
    producer = value.producer()
    turned = producer is not None and producer.op_type == "Transpose"
    if producer is not None and turned:
        value = producer.inputs[0]
    if value is None or value.const_value is None or not value.is_initializer():
        return None
    matrix: NDArray[np.float32] = value.const_value.numpy()
    if matrix.ndim != 2 or matrix.dtype != np.float32:
        return None
    return matrix.T if turned else matrix


def _stored(
    matrix: NDArray[np.float32],
    node: ir.Node,
    matcher: WeightMatcher,
    weights: GraphWeights,
    *,
    embedding: bool = False,
) -> tuple[StoredWeight, ...]:
    """What the compressed graph has for a matrix [out, in]."""
    parts = matcher.find(matrix)
    if parts is None:
        raise _lost(node, "is none of the checkpoint's")
    found = []
    for part in parts:
        weight = weights.embedding(part.module) if embedding else weights.product(part.module)
        if weight is None:
            raise _lost(node, f"was not found as {part.module} in the compressed graph")
        found.append(weight.slice(part.begin, part.begin + part.rows))
    return tuple(found)


def _lost(node: ir.Node, reason: str) -> ExportError:
    return ExportError(
        f"the matrix of {node.name} {reason}", "Export it for OpenVINO: --runtime openvino"
    )


def _replace_embedding(writer: Writer, node: ir.Node, weights: tuple[StoredWeight, ...]) -> None:
    (weight,) = weights
    ids = node.inputs[1]
    assert ids is not None
    writer.before(node)
    name = str(node.name).removesuffix("/Gather")
    _take_over(node.outputs[0], writer.embedding(ids, weight, f"{name}/stored"))
    assert node.graph is not None
    node.graph.remove(node, safe=True)


def _replace_products(writer: Writer, products: Sequence[Product]) -> None:
    """Write products of one input, in front of the first of them."""
    first = products[0]
    x = first.node.inputs[0]
    assert x is not None
    writer.before(first.node)
    if first.form is None:
        alike = groupby(first.weights, StoredWeight.form)
        parts = [
            writer.product(x, list(weights), f"{first.name}/part_{index}")
            for index, (_, weights) in enumerate(alike)
        ]
        whole = writer.add("Concat", parts, f"{first.name}/Concat", axis=-1)
        _take_over(first.node.outputs[0], whole)
        return
    matrices = [weight for product in products for weight in product.weights]
    name = "+".join([first.name, *(p.name.rpartition("/")[2] for p in products[1:])])
    whole = writer.product(x, matrices, name)
    if len(products) == 1:
        _take_over(first.node.outputs[0], whole)
        return
    widths = [product.width for product in products]
    for product, part in zip(products, writer.split(whole, widths, f"{name}/Split"), strict=True):
        _take_over(product.node.outputs[0], part)


def _take_over(old: ir.Value, new: ir.Value) -> None:
    """Use a value in place of another one, under its name."""
    old.name, name = None, old.name
    new.name, new.type, new.shape = name, old.type, old.shape
    old.replace_all_uses_with(new, replace_graph_outputs=True)
