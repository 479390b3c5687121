"""Lets a graph tell the likeliest token of each row of logits, beside the logits themselves."""

from __future__ import annotations

from nanoaccel.bundle.packed_graph import LOGITS
from nanoaccel.runtime.backends.onnxruntime.graph.model import Model, Node
from nanoaccel.runtime.backends.onnxruntime.graph.values import INT64, value_info
from nanoaccel.runtime.backends.onnxruntime.operators.linear import DOMAIN

LIKELIEST = "likeliest"


def tell_likeliest(model: Model, nodes: list[Node]) -> None:
    """Add the output i64[R], which is worked out by the threads that write the logits."""
    nodes.append(Node("Likeliest", [LOGITS], [LIKELIEST], name=LIKELIEST, domain=DOMAIN))
    model.outputs[LIKELIEST] = value_info(LIKELIEST, INT64, ["R"])
