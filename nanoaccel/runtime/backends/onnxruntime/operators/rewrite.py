"""A graph with NanoAccel's operators in the place of stock ones, over the same weights file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nanoaccel.runtime.backends.onnxruntime.graph.model import (
    in_order,
    read_model,
    without_unused,
)
from nanoaccel.runtime.backends.onnxruntime.graph.wire import WireError
from nanoaccel.runtime.backends.onnxruntime.operators.attention import (
    BlockLayout,
    CacheType,
    page_attention,
)
from nanoaccel.runtime.backends.onnxruntime.operators.experts import experts_of
from nanoaccel.runtime.backends.onnxruntime.operators.fusions import FUSIONS
from nanoaccel.runtime.backends.onnxruntime.operators.linear import (
    DOMAIN,
    VERSION,
    is_linear,
    linear_of,
)
from nanoaccel.runtime.backends.onnxruntime.operators.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A graph that was edited.

    Args:
        model: The bytes of the .onnx file; its weights lie where those of the original do.
        linears: Products that were replaced.
        blocks: What a block of the cache holds; None where the cache is in slots, as it was.
    """

    model: bytes
    linears: int
    blocks: BlockLayout | None


def rewrite(graph: Path, cache_type: CacheType | None = None) -> Rewritten | None:
    """Edit a graph; None when there is nothing to replace, or it cannot be read.

    A product, or a mixture of experts, is replaced where it computes with int8 activations already,
    so the arithmetic is that of the bundle. What the session says of a file that cannot be read is
    better than what could be said here.

    Args:
        graph: The .onnx file.
        cache_type: Type of cached numbers, to replace attention where that can be; None leaves it.
    """
    try:
        model = read_model(graph.read_bytes())
    except (OSError, WireError, ValueError, StopIteration):
        return None
    wiring = Wiring(model, model.nodes)
    own = [linear_of(node, model, wiring) or experts_of(node, model) for node in model.nodes]
    nodes = [new or node for new, node in zip(own, model.nodes, strict=True)]
    blocks = None if cache_type is None else page_attention(model, nodes, cache_type)
    if not any(own) and blocks is None:
        return None
    for fuse in FUSIONS:
        fuse(model, nodes)
    model.nodes = without_unused(in_order(nodes), model.outputs)
    return Rewritten(model.write({DOMAIN: VERSION}), sum(map(is_linear, own)), blocks)
