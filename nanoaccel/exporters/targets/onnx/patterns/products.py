"""Products with stored matrices, and rows of embeddings.

Products of one input are one product where their matrices are stored alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.patterns.plan import Pattern, Plan
from nanoaccel.exporters.targets.onnx.patterns.turned import turned
from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import Node, SourceGraph, Value
from nanoaccel.exporters.targets.onnx.source.names import joined_path, path_of
from nanoaccel.exporters.targets.onnx.stacks import read_turned
from nanoaccel.exporters.targets.onnx.stored import StoredWeight
from nanoaccel.exporters.targets.onnx.weights import (
    is_matrix,
    modules_of,
    read_matrix,
    stored_floats,
)

if TYPE_CHECKING:
    from nanoaccel.exporters.targets.onnx.packed_writer import PackedWriter

_AWQ = "awq_mul"


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A product of a value with a stored matrix, or with some rows of one.

    Args:
        node: The product.
        source: The value.
        result: What it gives.
        module: Module that it belongs to.
        weight: Its matrix.
        bias: Numbers f32 [rows] that are added; None where they are added elsewhere, if at all.
    """

    node: Node
    source: Value
    result: Value
    module: str
    weight: StoredWeight
    bias: NDArray[np.float32] | None = None


@dataclass(slots=True, eq=False)
class ProductGroup:
    """Products of one input that are written as one.

    Args:
        products: In the order of their rows, which may be changed until they are written.
    """

    products: list[Product]

    @property
    def results(self) -> list[Value]:
        """What they give."""
        return [product.result for product in self.products]

    def put_in_order(self, results: Sequence[Value]) -> None:
        """Let their rows stand in the order of some values, where these are all that they give."""
        if {*results} == {*self.results}:
            self.products.sort(key=lambda product: results.index(product.result))

    def write(self, results: Sequence[Value], out: PackedWriter, x: ir.Value) -> list[ir.Value]:
        """Write them.

        Args:
            results: What they give, in the order in which it is wanted.
            out: Writes into the packed graph.
            x: Their input.
        """
        name = joined_path([product.module for product in self.products])
        if self.products[0].node.attributes["transpose_a"]:
            x = turned(x, out, name)
        weights = [product.weight for product in self.products]
        whole = out.writer.product(x, weights, out.unique(name))
        if weights[0].permutation is None:
            out.tell_modules(whole, [(one.module, one.weight) for one in self.products])
        biases = [product.bias for product in self.products if product.bias is not None]
        if biases:
            bias = out.numbers(np.concatenate(biases))
            whole = out.writer.add("Add", [whole, bias], f"{name}/Add")
        if len(weights) == 1:
            return [whole]
        parts = out.writer.split(whole, [weight.rows for weight in weights], f"{name}/Split")
        made = dict(zip(self.results, parts, strict=True))
        return [made[result] for result in results]


def find_products(
    graph: SourceGraph, plan: Plan, constants: Constants
) -> Mapping[Value, ProductGroup]:
    """Find all products with stored matrices of two axes, and all embeddings.

    Args:
        graph: The graph.
        plan: Gets them.
        constants: Numbers of the graph.

    Returns:
        The groups of products, by what they give.
    """
    keys: dict[str, str] = {}
    groups: dict[tuple[Value, tuple[object, ...]], ProductGroup] = {}
    for node in graph.of_kind("MatMul", "Gather"):
        if node.kind == "Gather":
            if is_stored(node.inputs[0]) and not node.constant and _first_axis(node):
                _add_embedding(node, plan, keys)
        elif is_stored(node.inputs[1]) and not node.constant:
            turned = bool(node.attributes["transpose_a"])
            for one in _products(node, plan, keys, constants):
                form = (*one.weight.form(), one.bias is None, turned)
                groups.setdefault((one.source, form), ProductGroup([])).products.append(one)
    for group in groups.values():
        _put_gates_first(group)
        results = group.results

        def write(
            out: PackedWriter,
            values: Sequence[ir.Value],
            group: ProductGroup = group,
            results: Sequence[Value] = results,
        ) -> Sequence[ir.Value]:
            return group.write(results, out, values[0])

        first = min(group.products, key=lambda one: graph.order[one.node])
        plan.add(Pattern(first.node, [first.source], results, write))
    return {result: group for group in groups.values() for result in group.results}


def _put_gates_first(group: ProductGroup) -> None:
    """Let gates stand in front of what they are multiplied with, behind an activation."""
    for gate, other in permutations(group.results, 2):
        user = other.only_user()
        if len(group.results) == 2 and user is not None and user.kind == "Multiply":
            (factor,) = [value for value in user.inputs if value is not other] or [other]
            if factor is not gate and gate in factor.node.inputs:
                group.put_in_order([gate, other])


def is_stored(value: Value) -> bool:
    """Whether a value is a stored matrix of two axes, with all that decompresses it."""
    return value.node.constant and is_matrix(value.node.origin.output(value.index))


def _products(node: Node, plan: Plan, keys: dict[str, str], constants: Constants) -> list[Product]:
    """The products of a node: several where projections were fused into one."""
    modules = modules_of(node.origin)
    read = read_matrix if node.attributes["transpose_b"] else read_turned
    weight = read(node.origin.input_value(1), modules[0], keys)
    source, scale = _without_awq(node.inputs[0], plan)
    weight = replace(weight, input_scale=scale)
    if len(modules) == 1:
        return [Product(node, source, node.out, modules[0], weight)]
    user, bias = node.out.only_user(), None
    if user is not None and user.kind == "Add":
        (other,) = [value for value in user.inputs if value is not node.out]
        bias = constants.array(other).astype(np.float32).ravel()
        user = user.out.only_user()
    assert user is not None, "a fused product is split, after its bias"
    assert user.kind == "VariadicSplit", "a fused product is split, after its bias"
    ends = np.cumsum([value.shape[-1] for value in user.outputs]).tolist()
    found: list[Product] = []
    begin = 0
    for module, result, end in zip(modules, user.outputs, ends, strict=True):
        part = replace(weight.slice(begin, end), key=module)
        own = None if bias is None else bias[begin:end]
        found.append(Product(node, source, result, module, part, own))
        begin = end
    return found


def _without_awq(value: Value, plan: Plan) -> tuple[Value, NDArray[np.float32] | None]:
    """The input of a product; and what AWQ multiplied one of its factors with.

    Gates stay beside what they multiply that way: the product reads ``(gate * up) * scale`` in
    place of ``gate * (up * scale)``.
    """
    node = value.node
    if node.kind != "Multiply" or any(user.kind != "MatMul" for user, _ in value.users):
        return value, None
    for place, factor in enumerate(node.inputs):
        scaled = factor.node
        if _AWQ in scaled.name and scaled.kind == "Multiply" and factor.only_user() is node:
            inner = scaled.inputs[0]
            plan.add(Pattern(scaled, [inner], [factor], lambda _, values: values))
            scale = stored_floats(scaled.origin.input_value(1)).astype(np.float32).ravel()
            assert node.inputs[1 - place] is not factor
            return value, scale
    return value, None


def _first_axis(node: Node) -> bool:
    axis = node.inputs[2].node
    return bool(axis.kind == "Constant" and int(axis.origin.data) == 0)


def _add_embedding(node: Node, plan: Plan, keys: dict[str, str]) -> None:
    (module,) = modules_of(node.origin)
    weight = read_matrix(node.origin.input_value(0), module, keys)
    ids = node.inputs[1]
    if ids.node.kind == "Convert":
        ids = ids.node.inputs[0]

    def write(out: PackedWriter, values: Sequence[ir.Value]) -> Sequence[ir.Value]:
        return [out.writer.embedding(values[0], weight, f"{out.unique(path_of(module))}/stored")]

    plan.add(Pattern(node, [ids], [node.out], write))


def order_projections(
    heads: Sequence[Value], plan: Plan, groups: Mapping[Value, ProductGroup]
) -> None:
    """Let rows of queries, keys and values stand in this order where they are one matrix.

    Args:
        heads: What attention reads, behind norms of heads.
        plan: Parts that were found.
        groups: Groups of products by what they give.
    """
    sources = []
    for value in heads:
        while value not in groups:
            pattern = plan.maker(value)
            if value.node.kind == "Reshape" and pattern is None:
                value = value.node.inputs[0]
            elif pattern is not None and len(pattern.reads) == 1:
                value = pattern.reads[0]
            else:
                return
        sources.append(value)
    groups[sources[0]].put_in_order(sources)


def last_product(graph: SourceGraph) -> Node | None:
    """The product that makes logits; None where none does.

    Behind it stand only operators of single numbers, such as scales and soft caps.
    """
    node = next(graph.of_kind("Result"))
    while node.kind != "MatMul" or not is_stored(node.inputs[1]):
        computed = [value for value in node.inputs if not value.node.constant]
        if len(computed) != 1:
            return None
        node = computed[0].node
    return node
