"""Gemma multiplies its embedding by the root of the hidden size; the builder rounds that.

It keeps two digits behind the point. The model itself rounds to the type of its weights.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx_ir as ir

_NODE = "/model/embed_tokens/Mul"
_ROUNDED = 0.005  # what two digits are off at most
_TYPES = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}


def restore_embedding_scale(graph: ir.Graph, hidden_size: int, dtype: str) -> None:
    """Edit a graph, in place; only where the embedding is multiplied by that root.

    Args:
        graph: Graph of the builder.
        hidden_size: Numbers that a layer gives for a token.
        dtype: Type of the model's own weights, such as "bfloat16".
    """
    exact = np.float32(hidden_size**0.5)
    own = np.float32(exact.astype(_TYPES[dtype])) if dtype in _TYPES else exact
    for node in list(graph):
        if node.name != _NODE:
            continue
        scale = ir.node(
            "Constant", [], {"value": ir.tensor(own, name="root")}, name="/model/embed_tokens/root"
        )
        scale.outputs[0].name = "/model/embed_tokens/root/output_0"
        old = node.inputs[1]
        rounded = None if old is None else ir.convenience.get_const_tensor(old)
        if rounded is None or abs(float(rounded.numpy()) - exact) > _ROUNDED:
            return
        graph.insert_before(node, scale)
        node.replace_input_with(1, scale.outputs[0])
