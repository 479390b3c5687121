"""Gives linears the adapters of their rows, where the graph tells whose matrices they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nanoaccel.bundle import folded_scales, module_rows
from nanoaccel.bundle import packed_graph as contract
from nanoaccel.bundle.folded_scales import FoldedScales
from nanoaccel.bundle.module_rows import ModuleRows
from nanoaccel.runtime.backends.onnxruntime.graph.model import Model, Node, integer_attribute
from nanoaccel.runtime.backends.onnxruntime.graph.values import INT32, value_info
from nanoaccel.runtime.backends.onnxruntime.operators.linear import (
    FLOAT_LINEAR,
    Input,
    is_linear,
    set_input,
)
from nanoaccel.runtime.backends.onnxruntime.operators.wiring import Wiring

# Inputs of a graph: i32 [T] and i32 [R], the slot of each token, and of each of those whose logits
# are wanted; negative without an adapter. Both are empty in passes without any.
OF_TOKENS, OF_LOGITS = ADAPTER_INPUTS = ("adapters", "logits_adapters")


@dataclass(frozen=True, slots=True)
class AdaptableMatrix:
    """A matrix that adapters change.

    Args:
        inputs: Its columns.
        outputs: Its rows.
        gated: Whether the first half of them are gates.
        exact: Whether it computes in f32.
        modules: Its modules, in the order of their rows.
    """

    inputs: int
    outputs: int
    gated: bool
    exact: bool
    modules: tuple[ModuleRows, ...]


@dataclass(frozen=True, slots=True)
class Adaptable:
    """What adapters may change in a graph.

    Args:
        matrices: In the order of their numbers; none where the graph does not tell.
        folded: Factors by which matrices differ from those of the original.
    """

    matrices: Sequence[AdaptableMatrix] = ()
    folded: FoldedScales = field(default_factory=FoldedScales)

    def input_scale(self, module: str) -> NDArray[np.float32] | None:
        """What the input of a module is multiplied with; None is nothing."""
        return self.folded.inputs.get(module)

    def output_scale(self, module: str) -> NDArray[np.float32] | None:
        """What the output of a module is multiplied with; None is nothing."""
        return self.folded.outputs.get(module)


def take_adapters(model: Model, nodes: Sequence[Node], table: int) -> Adaptable:
    """Let linears read the slots of their rows.

    Args:
        model: The graph, whose metadata tell which products are which modules; it gets inputs.
        nodes: Its nodes, after all fusions.
        table: Number of the library's table of adapters.

    Raises:
        BundleDamagedError: What the graph tells cannot be read.
    """
    told = model.metadata()
    if module_rows.METADATA not in told or folded_scales.METADATA not in told:
        return Adaptable()
    modules = module_rows.read_modules(told[module_rows.METADATA])
    matrices: list[AdaptableMatrix] = []
    wiring = Wiring(model, nodes)
    for node in filter(is_linear, nodes):
        matrix = _matrix(node, modules)
        if matrix is None:
            continue
        slots = OF_LOGITS if _of_logits(node, wiring) else OF_TOKENS
        set_input(node, Input.ADAPTERS, slots)
        node.attributes["adapters"] = integer_attribute("adapters", table)
        node.attributes["matrix"] = integer_attribute("matrix", len(matrices))
        matrices.append(matrix)
    if matrices:
        for name, letter in ((OF_TOKENS, "adapted"), (OF_LOGITS, "adapted_rows")):
            model.inputs[name] = value_info(name, INT32, [letter])
    return Adaptable(matrices, FoldedScales.parse(told[folded_scales.METADATA]))


def _matrix(node: Node, modules: Mapping[str, Sequence[ModuleRows]]) -> AdaptableMatrix | None:
    parts = modules.get(node.name, ())
    inputs, outputs = node.integer("K") or 0, node.integer("N") or 0
    if not parts or sum(part.rows for part in parts) != outputs:
        return None
    gated, exact = bool(node.integer("gated")), node.kind == FLOAT_LINEAR
    return AdaptableMatrix(inputs, outputs, gated, exact, tuple(parts))


def _of_logits(node: Node, wiring: Wiring) -> bool:
    """Whether a linear reads only the rows whose logits are wanted."""
    maker = wiring.maker(node.input(Input.X))
    while maker is not None and contract.LOGITS_ROWS not in maker.inputs:
        maker = wiring.maker(maker.input(0))
    return maker is not None and maker.kind == "Gather"
