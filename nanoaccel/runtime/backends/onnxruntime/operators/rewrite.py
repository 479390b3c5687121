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
from nanoaccel.runtime.backends.onnxruntime.operators.fusions import FUSIONS
from nanoaccel.runtime.backends.onnxruntime.operators.linear import DOMAIN, VERSION, linear_of
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


def rewrite(
    graph: Path, cache_type: CacheType | None = None, *, scores: bool = False
) -> Rewritten | None:
    """Edit a graph; None when there is nothing to replace, or it cannot be read.

    A product is replaced where it computes with int8 activations already, so the arithmetic is
    that of the bundle. What the session says of a file that cannot be read is better than what
    could be said here.

    Args:
        graph: The .onnx file.
        cache_type: Type of cached numbers, to replace attention where that can be; None leaves it.
        scores: Whether attention that was replaced tells what tokens of the cache draw.
    """
    try:
        model = read_model(graph.read_bytes())
    except (OSError, WireError, ValueError, StopIteration):
        return None
    wiring = Wiring(model, model.nodes)
    linears = {id(node): linear_of(node, model, wiring) for node in model.nodes}
    count = sum(linear is not None for linear in linears.values())
    nodes = [linears[id(node)] or node for node in model.nodes]
    blocks = None
    if cache_type is not None:
        blocks = page_attention(model, nodes, cache_type, scores=scores)
    if count == 0 and blocks is None:
        return None
    for fuse in FUSIONS:
        fuse(model, nodes)
    model.nodes = without_unused(in_order(nodes), model.outputs)
    return Rewritten(model.write({DOMAIN: VERSION}), count, blocks)
