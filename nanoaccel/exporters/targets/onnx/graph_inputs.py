"""Inputs of a packed graph, as values that nodes can read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from nanoaccel.bundle.packed_graph import INPUTS


def graph_input(name: str, shape: Sequence[int | str] | None = None) -> ir.Value:
    """An input of the contract.

    Args:
        name: Name of the input.
        shape: Where it is known more closely.
    """
    spec = INPUTS[name]
    dtype = ir.DataType.from_numpy(np.dtype(spec.dtype))
    return ir.val(name, dtype, list(spec.shape if shape is None else shape))


def graph_inputs() -> dict[str, ir.Value]:
    """All inputs of the contract besides the cache, by name."""
    return {name: graph_input(name) for name in INPUTS}
