"""Puts products of thin matrices beside the matrices of a graph.

    x -> MatMul(W) -> y       becomes       x -> MatMul(W) ------------------> Add -> y
                                            x -> MatMul(down) * ranks -> MatMul(up) -^

The thin matrices of all adapters of a pass are inputs, one below the other along their ranks, R
together. ``ranks`` f32[T, R] is 1 where a rank belongs to the adapter of a token, else 0. A matrix
that joins several modules has one product with what they read, and one product up for each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from nanoaccel.runtime.backends.openvino.paged_graph import last_projection

RANKS, DOWN, UP = "adapters.ranks", "adapters.down", "adapters.up"
_MODULE = re.compile(r"__module\.(.+?)/")  # in the names that tracing gives
_AWQ = "/awq_mul"  # ends names of products that NNCF puts in front of a matrix
_LAST = np.int64(-1)


@dataclass(frozen=True, slots=True)
class AdaptedMatrix:
    """A matrix of a graph, and the modules of the original that it holds.

    Args:
        modules: Their names, in the order of its outputs.
        inputs: Numbers that each of them reads.
        outputs: Numbers that each gives.
    """

    modules: tuple[str, ...]
    inputs: int
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Product:
    """The product with a stored matrix.

    Args:
        matrix: What it holds.
        x: What it reads: [T, inputs] or [T, 1, inputs].
        ends: What each module gives, with its bias.
    """

    matrix: AdaptedMatrix
    x: ov.Output
    ends: tuple[ov.Output, ...]


def add_adapters(model: ov.Model) -> list[AdaptedMatrix]:
    """Edit a graph, in place.

    Args:
        model: A graph that ``make_paged`` made.

    Returns:
        The matrices that have inputs now, in order: ``adapters.down.N`` f32[R * modules, inputs],
        rank by rank, and for each module M of it ``adapters.up.N.M`` f32[R, outputs].
    """
    last = last_projection(model)
    products = [
        found
        for node in model.get_ordered_ops()
        if node.get_type_name() == "MatMul"
        and node.get_friendly_name() != last.get_friendly_name()
        and (found := _product(node)) is not None
    ]
    if products:
        ranks = _input(RANKS, [-1, -1])
        by_module = ops.unsqueeze(ranks, ops.constant(_LAST))
        model.add_parameters([ranks])
        for index, product in enumerate(products):
            inputs = _thin_inputs(index, product.matrix)
            joined = len(product.ends) > 1
            _add_products(product, inputs, by_module if joined else ranks)
            model.add_parameters(inputs)
        model.validate_nodes_and_infer_types()
    return [product.matrix for product in products]


def _product(node: ov.Node) -> _Product | None:
    """The modules that a product belongs to; None where it is of another kind."""
    names = [_MODULE.match(name) for name in node.get_friendly_name().split("+")]
    modules = tuple(name.group(1) for name in names if name is not None)
    x, weight = node.input_value(0), node.input_value(1)
    if len(modules) < len(names) or not (_is_stored(weight.get_node()) and _is_rows(x)):
        return None
    if len(weight.get_partial_shape()) != 2 or node.get_attributes()["transpose_a"]:
        return None
    ends = _ends(node, len(modules))
    if ends is None:
        return None
    widths = tuple(_width(end) for end in ends)
    return _Product(AdaptedMatrix(modules, _width(x), widths), _unscaled(x), ends)


def _ends(node: ov.Node, modules: int) -> tuple[ov.Output, ...] | None:
    """What each module gives: the product with its bias, cut where it joins several."""
    end = node.output(0)
    user = _only_user(end)
    if user is not None and user.get_type_name() == "Add":
        others = [value for value in user.input_values() if value != end]
        if len(others) == 1 and _is_stored(others[0].get_node()):
            end = user.output(0)
            user = _only_user(end)
    if modules == 1:
        return (end,)
    if user is None or user.get_type_name() != "VariadicSplit":
        return None
    return tuple(user.outputs()) if len(user.outputs()) == modules else None


def _only_user(value: ov.Output) -> ov.Node | None:
    users = list(value.get_target_inputs())
    return users[0].get_node() if len(users) == 1 else None


def _is_stored(node: ov.Node) -> bool:
    """Whether a value is a constant, or made of constants."""
    if node.get_type_name() == "Constant":
        return True
    values = node.input_values()
    return len(values) > 0 and all(_is_stored(value.get_node()) for value in values)


def _is_rows(x: ov.Output) -> bool:
    """Whether a value is [T, n] or [T, 1, n]: a row for each token."""
    rows, *between, width = x.get_partial_shape()
    return (
        width.is_static
        and rows.is_dynamic
        and all(size == 1 for size in between[:1])
        and (len(between) < 2)
    )


def _unscaled(x: ov.Output) -> ov.Output:
    """What the original's matrix reads, where AWQ scales it in front of the graph's."""
    node = x.get_node()
    scaled = node.get_type_name() == "Multiply" and node.get_friendly_name().endswith(_AWQ)
    return node.input_value(0) if scaled else x


def _width(value: ov.Output) -> int:
    return int(value.get_partial_shape()[-1].get_length())


def _input(name: str, shape: Sequence[int]) -> ov.Node:
    made = ops.parameter(list(shape), np.float32, name=name)
    made.output(0).set_names({name})
    return made


def _thin_inputs(index: int, matrix: AdaptedMatrix) -> list[ov.Node]:
    down = _input(f"{DOWN}.{index}", [-1, matrix.inputs])
    ups = [_input(f"{UP}.{index}.{part}", [-1, width]) for part, width in enumerate(matrix.outputs)]
    return [down, *ups]


def _add_products(product: _Product, inputs: Sequence[ov.Node], ranks: ov.Node) -> None:
    """Add to what each module gives its product, [T, R] between the two matrices."""
    down, *ups = inputs
    x = ops.reshape(product.x, _sizes(-1, product.matrix.inputs), special_zero=False)
    thin = ops.matmul(x, down, transpose_a=False, transpose_b=True)
    parts = len(ups)
    if parts > 1:
        thin = ops.reshape(thin, _sizes(0, -1, parts), special_zero=True)
    thin = ops.multiply(thin, ranks)
    thins = [thin.output(0)]
    if parts > 1:
        cut = ops.split(thin, ops.constant(_LAST), parts)
        thins = [
            ops.reshape(one, _sizes(0, -1), special_zero=True).output(0) for one in cut.outputs()
        ]
    for end, one, up in zip(product.ends, thins, ups, strict=True):
        readers = end.get_target_inputs()
        wide = ops.matmul(one, up, transpose_a=False, transpose_b=False)
        between = [1] * (len(end.get_partial_shape()) - 2)
        shaped = ops.reshape(wide, _sizes(-1, *between, _width(end)), special_zero=False)
        total = ops.add(end, shaped)
        for reader in readers:
            reader.replace_source_output(total.output(0))


def _sizes(*sizes: int) -> ov.Node:
    return ops.constant(np.array(sizes, np.int64))
