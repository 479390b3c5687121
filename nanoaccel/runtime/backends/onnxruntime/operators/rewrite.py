"""A graph with NanoAccel's operators in the place of stock ones, over the same weights file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from nanoaccel.runtime.backends.onnxruntime.graph.model import (
    Model,
    in_order,
    read_model,
    without_unused,
)
from nanoaccel.runtime.backends.onnxruntime.graph.wire import WireError
from nanoaccel.runtime.backends.onnxruntime.operators.adapters import Adaptable, take_adapters
from nanoaccel.runtime.backends.onnxruntime.operators.attention import (
    BlockLayout,
    CacheType,
    page_attention,
)
from nanoaccel.runtime.backends.onnxruntime.operators.experts import experts_of
from nanoaccel.runtime.backends.onnxruntime.operators.float_linear import float_linear
from nanoaccel.runtime.backends.onnxruntime.operators.fusions import FUSIONS
from nanoaccel.runtime.backends.onnxruntime.operators.likeliest import tell_likeliest
from nanoaccel.runtime.backends.onnxruntime.operators.linear import (
    DOMAIN,
    VERSION,
    is_linear,
    quantized_linear,
)
from nanoaccel.runtime.backends.onnxruntime.operators.row_wise import is_row_wise
from nanoaccel.runtime.backends.onnxruntime.operators.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A graph that was edited.

    Args:
        model: The bytes of the .onnx file; its weights lie where those of the original do.
        linears: Products that were replaced.
        blocks: What a block of the cache holds; None where attention is as it was, over slots.
        row_wise: Whether it gives a token the same bits in any company.
        adaptable: What adapters may change, where they were asked for.
    """

    model: bytes
    linears: int
    blocks: BlockLayout | None
    row_wise: bool
    adaptable: Adaptable = field(default_factory=Adaptable)


def rewrite(
    graph: Path,
    cache_type: CacheType | None = None,
    *,
    scores: bool = False,
    adapters: int | None = None,
) -> Rewritten | None:
    """Edit a graph; None when there is nothing to replace, or it cannot be read.

    A product, or a mixture of experts, rounds its activations to int8 where it did before, and
    nowhere else, so the arithmetic is that of the bundle. What the session says of a file that
    cannot be read is better than what could be said here.

    Args:
        graph: The .onnx file.
        cache_type: Type of cached numbers, to replace attention where that can be; None leaves it.
        scores: Whether attention that was replaced tells what tokens of the cache draw.
        adapters: Number of the table whose adapters linears compute with; None without any.

    Raises:
        BundleDamagedError: What the graph tells of its modules cannot be read.
    """
    try:
        return _edited(read_model(graph.read_bytes()), cache_type, scores, adapters)
    except (OSError, WireError):  # of attributes too, which are read when they are asked for
        return None


def _edited(
    model: Model, cache_type: CacheType | None, scores: bool, adapters: int | None
) -> Rewritten | None:
    wiring = Wiring(model, model.nodes)
    own = [
        quantized_linear(node, model, wiring)
        or float_linear(node, model, wiring)
        or experts_of(node, model, wiring)
        for node in model.nodes
    ]
    nodes = [new or node for new, node in zip(own, model.nodes, strict=True)]
    blocks = None
    if cache_type is not None:
        blocks = page_attention(model, nodes, cache_type, scores=scores)
    if not any(own) and blocks is None:
        return None
    for fuse in FUSIONS:
        fuse(model, nodes)
    if blocks is not None:
        tell_likeliest(model, nodes)
    model.nodes = without_unused(in_order(nodes), model.outputs)
    adaptable = Adaptable()
    if adapters is not None and blocks is not None:
        adaptable = take_adapters(model, model.nodes, adapters)
    linears = sum(map(is_linear, own))
    row_wise = is_row_wise(model.nodes)
    return Rewritten(model.write({DOMAIN: VERSION}), linears, blocks, row_wise, adaptable)
