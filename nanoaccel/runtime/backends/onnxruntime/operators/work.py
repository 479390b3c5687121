"""What NanoAccel's operators in a graph have to do, whoever computes it."""

from __future__ import annotations

from nanoaccel.bundle.packed_graph import RECURRENT_STATES
from nanoaccel.runtime.backends.base import OperatorWork
from nanoaccel.runtime.backends.onnxruntime.graph.model import Model, Node, read_model
from nanoaccel.runtime.backends.onnxruntime.operators.attention import CACHE
from nanoaccel.runtime.backends.onnxruntime.operators.linear import DOMAIN

# Bytes of a number, by type as ONNX numbers them: f32, u8, i8, f16, bf16.
_BYTES = {1: 4, 2: 1, 3: 1, 10: 2, 16: 2}


def work_of(model: bytes) -> dict[str, OperatorWork]:
    """The work of each of NanoAccel's nodes, by its name.

    Args:
        model: The bytes of an .onnx file.
    """
    read = read_model(model)
    return {node.name: _work(node, read) for node in read.nodes if node.domain == DOMAIN}


def _work(node: Node, model: Model) -> OperatorWork:
    """What it reads and multiplies; that of attention depends on what is cached.

    That of operators with recurrent states depends on the sequences of a pass, and is left out.
    """
    if CACHE in node.inputs:
        return OperatorWork(reads_cache=True)
    if RECURRENT_STATES in node.inputs:
        return OperatorWork()
    stored = [model.initializers[name] for name in node.inputs if name in model.initializers]
    return OperatorWork(
        weights=sum(tensor.size * _BYTES.get(tensor.type, 0) for tensor in stored),
        products=(node.integer("K") or 0) * (node.integer("N") or 0),
    )
