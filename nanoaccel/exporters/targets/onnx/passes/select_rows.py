"""Only the tokens whose logits are asked for go through the last projection.

states [1, T, H] -> Gather(logits_rows) -> [1, R, H] -> MatMul -> ... -> logits [1, R, V]

The states of all tokens are an output too, which embeddings are made of; nobody else asks for it.
"""

from __future__ import annotations

import onnx_ir as ir

from nanoaccel.bundle.packed_graph import LOGITS, LOGITS_ROWS, STATES
from nanoaccel.exporters.targets.onnx.graph_inputs import graph_input


def select_rows(graph: ir.Graph, hidden_size: int) -> None:
    """Edit a graph, in place; scales, soft caps and biases behind the projection stay.

    Args:
        graph: With the builder's names.
        hidden_size: H.
    """
    logits = next(value for value in graph.outputs if value.name == LOGITS)
    node = logits.producer()
    while node is not None and node.op_type != "MatMul":
        source = node.inputs[0]
        assert source is not None
        node = source.producer()
    assert node is not None, "logits come from a product"
    states = node.inputs[0]
    assert states is not None
    rows = graph_input(LOGITS_ROWS)
    gather = ir.node("Gather", [states, rows], {"axis": 1}, name="/lm_head/rows/Gather")
    gather.outputs[0].name = "/lm_head/rows/output_0"
    graph.insert_before(node, gather)
    node.replace_input_with(0, gather.outputs[0])
    graph.inputs.insert(1, rows)
    assert logits.shape is not None
    logits.shape = ir.Shape([1, "R", logits.shape[-1]])
    states.name = STATES
    states.dtype = ir.DataType.FLOAT
    states.shape = ir.Shape([1, "T", hidden_size])
    graph.outputs.append(states)
