"""Lets NNCF write the weights that it makes into a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nanoaccel.exporters.quantize.compression.by_nncf.rows import by_rows
from nanoaccel.exporters.quantize.compression.mapped import MappedTensors

if TYPE_CHECKING:
    import openvino as ov


@contextmanager
def written_to(tensors: MappedTensors) -> Iterator[None]:
    """Inside, NNCF's matrices go to a file one by one: those it makes, and those it scales."""
    from nncf.quantization.algorithms.weight_compression import openvino_backend as module

    backend = module.OVWeightCompressionAlgoBackend
    create, set_weight = backend._create_compression_subgraph, backend.set_weight
    compress_weight = module.compress_weight

    def create_and_move(owner: Any, *args: Any, **options: Any) -> tuple[ov.Node, Any]:
        node, weight = create(owner, *args, **options)
        for constant in _constants(node):
            tensors.move(constant)
        return node, weight

    def set_and_move(owner: Any, node: Any, port: int, *args: Any) -> None:
        set_weight(owner, node, port, *args)
        name = node.layer_attributes.constant_attributes[port]["name"]
        known = owner.name_to_node_mapping
        known[name] = tensors.move(known[name])

    backend._create_compression_subgraph, backend.set_weight = create_and_move, set_and_move
    module.compress_weight = by_rows(compress_weight, tensors.allocate)
    try:
        yield
    finally:
        backend._create_compression_subgraph, backend.set_weight = create, set_weight
        module.compress_weight = compress_weight


def _constants(node: ov.Node) -> list[ov.Node]:
    """The constants that a value is computed from."""
    if node.get_type_name() == "Constant":
        return [node]
    return [leaf for value in node.input_values() for leaf in _constants(value.get_node())]
