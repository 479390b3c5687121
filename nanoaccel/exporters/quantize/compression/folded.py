"""Notes in a graph what AWQ folds from one matrix into another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from nanoaccel.bundle.folded_scales import RUNTIME_INFO, FoldedScales

if TYPE_CHECKING:
    import openvino as ov
    from numpy.typing import NDArray

_MODULE = re.compile(r"__module\.([^/]+)/")


def folded_in(model: ov.Model) -> FoldedScales:
    """What was folded in a graph, as far as it says so."""
    if not model.has_rt_info(RUNTIME_INFO):
        return FoldedScales()
    return FoldedScales.parse(model.get_rt_info(RUNTIME_INFO).astype(str))


def note_folded(model: ov.Model, folded: FoldedScales) -> None:
    """Say in a graph what was folded in it, altogether; where that is nothing, too."""
    model.set_rt_info(str(folded), RUNTIME_INFO)


def folded_between(first: str, second: str, factors: NDArray[np.float32]) -> FoldedScales:
    """The factors of one pair of matrices.

    Args:
        first: Name of the product whose rows were multiplied with the factors.
        second: Name of the product that reads what it gives.
        factors: f32, of each of these numbers.

    >>> folded_between(
    ...     "__module.up/aten::linear/MatMul", "__module.down/aten::linear/MatMul", np.ones(2)
    ... ).outputs
    {'up': array([1., 1.], dtype=float32)}
    """
    given, reads = _MODULE.search(first), _MODULE.search(second)
    if given is None or reads is None or "+" in first + second:
        return FoldedScales()
    numbers = np.asarray(factors, np.float32).ravel()
    return FoldedScales(inputs={reads[1]: numbers}, outputs={given[1]: numbers})


@contextmanager
def watching_awq() -> Iterator[list[FoldedScales]]:
    """Collect what NNCF's AWQ folds meanwhile: a list that grows."""
    from nncf.quantization.algorithms.weight_compression.awq import AWQ

    apply, find = AWQ.apply, AWQ._get_awq_data
    found: list[FoldedScales] = []

    def find_and_keep(self: Any, graph: Any, parameters: Any) -> Any:
        self.pairs = find(self, graph, parameters)
        return self.pairs

    def apply_and_note(self: Any, model: Any, graph: Any, *rest: Any, **more: Any) -> Any:
        made = apply(self, model, graph, *rest, **more)
        for name, scale in self._scale_per_target_node.items():
            first = self.pairs[name].merge_node
            if self._backend_entity.is_node_with_weights(first, graph):
                found.append(folded_between(first.node_name, name, np.asarray(scale.data)))
        return made

    AWQ.apply, AWQ._get_awq_data = apply_and_note, find_and_keep
    try:
        yield found
    finally:
        AWQ.apply, AWQ._get_awq_data = apply, find
