"""The ONNX graph of a draft head, from its OpenVINO graph.

    input_ids -> row -> embedding ------+
    features -> norm of each layer -----+-> product --+
            \\-> the head's own state -----------------+-> x
    x -> norm -> q, k, v -> attention -> o -> + x -> norm -> SwiGLU -> + -> hidden.0
    hidden.0 -> norm -> the rows that are asked for -> logits

It reads what a packed graph of a target does (see ``bundle.packed_graph``), and f32 features
[1, T, F] besides. A pass takes one or two milliseconds, so nodes count:
what can be one product is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.exporters.targets.onnx.graph_inputs import graph_input, graph_inputs
from nanoaccel.exporters.targets.onnx.head_parts import HeadParts, Norm, read_parts
from nanoaccel.exporters.targets.onnx.rotation import Rotation, rotary_tables
from nanoaccel.exporters.targets.onnx.save import save_graph
from nanoaccel.exporters.targets.onnx.stored import StoredWeight, beside
from nanoaccel.exporters.targets.onnx.writer import Writer
from nanoaccel.openvino_core import openvino_core

_OPSETS = {"": 22, "com.microsoft": 1}
_IR_VERSION = 10
_MICROSOFT = "com.microsoft"
_STATES_EPSILON = 1e-6  # of the norm of the target's states
_SUM = 3  # output of SkipSimplifiedLayerNormalization: what it normalized


def convert_head(graph: Path, folder: Path, name: str, positions: int) -> None:
    """Write the ONNX graph of a head, and the data beside it.

    Args:
        graph: Its OpenVINO graph.
        folder: Output folder.
        name: Name of the file.
        positions: Context length of the target, in tokens.

    Raises:
        ExportError: It is no head's graph, or the weights cannot be written or computed with.
    """
    parts = read_parts(openvino_core().read_model(graph))
    save_graph(head_graph(parts, positions), folder, name)


def head_graph(parts: HeadParts, positions: int) -> ir.Model:
    """Make the graph.

    Args:
        parts: Parts of the head.
        positions: Context length of the target, in tokens.
    """
    return _Builder(parts, positions).model


class _Builder:
    """Writes node after node.

    Attributes:
        model: The graph.
    """

    def __init__(self, parts: HeadParts, positions: int) -> None:
        self._parts = parts
        width = (parts.num_layers + 1) * parts.hidden
        self._inputs = graph_inputs()
        self._inputs[contract.FEATURES] = graph_input(contract.FEATURES, [1, "T", width])
        self._graph = ir.Graph([], [], nodes=[], opset_imports=_OPSETS, name="head")
        self._writer = Writer(self._graph)
        presents = self._fill(positions)
        used = [value for value in self._inputs.values() if value.uses()]
        self._graph.inputs.extend(used)
        self._graph.outputs.extend(presents)
        self.model = ir.Model(self._graph, ir_version=_IR_VERSION, producer_name="nanoaccel")

    def _fill(self, positions: int) -> list[ir.Value]:
        """All nodes; gives the outputs."""
        parts, writer = self._parts, self._writer
        entering, own = self._enter()
        normed, x = self._skip_norm(entering, own, parts.input_norm, "/input_norm")
        attended, presents = self._attend(self._together(normed, parts.qkv, "/qkv"), positions)
        attended = writer.product(attended, [parts.o], "/o")
        normed, x = self._skip_norm(attended, x, parts.post_norm, "/post_norm")
        fed = self._together(normed, parts.gate_up, "/gate_up")
        gate, up = writer.split(fed, [weight.rows for weight in parts.gate_up], "/gate_up/Split")
        gate = writer.add("QuickGelu", [gate], "/silu", _MICROSOFT, alpha=1.0)
        fed = writer.product(writer.add("Mul", [gate, up], "/gated"), [parts.down], "/down")
        normed, hidden = self._skip_norm(fed, x, parts.norm, "/norm")
        rows = self._inputs[contract.LOGITS_ROWS]
        chosen = writer.add("Gather", [normed, rows], "/rows", axis=1)
        logits = writer.product(chosen, [parts.last], "/last")
        _declare(logits, contract.LOGITS, [1, "R", parts.last.rows])
        _declare(hidden, contract.hidden_name(0), [1, "T", parts.hidden])
        return [logits, *presents, hidden]

    def _enter(self) -> tuple[ir.Value, ir.Value]:
        """Two terms of what enters the layer: of tokens and the target, and the head's own."""
        parts, writer = self._parts, self._writer
        layers, hidden = parts.num_layers, parts.hidden
        rows = writer.constant(parts.rows, "rows")
        ids = writer.add("Gather", [rows, self._inputs[contract.INPUT_IDS]], "/ids")
        embedded = writer.embedding(ids, parts.table, "/table")
        states, own = writer.split(
            self._inputs[contract.FEATURES], [layers * hidden, hidden], "/features/Split"
        )
        if layers > 1:
            states = self._reshape(states, [1, -1, layers, hidden], "/features/layers")
        even = Norm(np.ones(hidden, np.float32), _STATES_EPSILON)
        states = writer.add(
            "SimplifiedLayerNormalization",
            [states, writer.constant(even.weight, "ones")],
            "/features/norm",
            epsilon=even.epsilon,
        )
        if layers > 1:
            states = self._reshape(states, [1, -1, layers * hidden], "/features/flat")
        both = beside(parts.features_in, parts.token_in)
        if both is not None:
            read = writer.add("Concat", [states, embedded], "/features/both", axis=-1)
            return writer.product(read, [both], "/in"), own
        terms = [
            writer.product(states, [parts.features_in], "/features_in"),
            writer.product(embedded, [parts.token_in], "/token_in"),
        ]
        return writer.add("Add", terms, "/in"), own

    def _attend(self, qkv: ir.Value, positions: int) -> tuple[ir.Value, list[ir.Value]]:
        """Attention over the padded batch; gives what the tokens get, and the written caches."""
        parts, writer, inputs = self._parts, self._writer, self._inputs
        shape = contract.cache_shape(parts.kv_heads, parts.head_dim)
        pasts = [
            ir.val(contract.past_name(0, kind), ir.DataType.FLOAT, shape)
            for kind in contract.CACHE_KINDS
        ]
        self._inputs |= {str(past.name): past for past in pasts}
        padded = writer.add("GatherND", [qkv, inputs[contract.QUERY_MAP]], "/pad")
        lengths = [inputs[contract.SEQLENS_K], inputs[contract.TOTAL_LENGTH]]
        tables = rotary_tables(writer, Rotation(parts.frequencies), positions, "/rotary")
        caches = [*lengths, *tables, inputs[contract.ROW_POSITIONS]]
        node = ir.node(
            "GroupQueryAttention",
            [padded, None, None, *pasts, *caches, *[None] * 6, inputs[contract.QUERY_SEQLENS]],
            {
                "num_heads": parts.heads,
                "kv_num_heads": parts.kv_heads,
                "scale": parts.head_dim**-0.5,
                "do_rotary": 1,
            },
            domain=_MICROSOFT,
            num_outputs=3,
            name="/attention",
        )
        attended, *presents = node.outputs
        attended.name = "/attention/output_0"
        for value, kind in zip(presents, contract.CACHE_KINDS, strict=True):
            _declare(value, contract.present_name(0, kind), shape)
        self._graph.append(node)
        return writer.add("GatherND", [attended, inputs[contract.TOKEN_MAP]], "/unpad"), presents

    def _together(self, x: ir.Value, weights: Sequence[StoredWeight], name: str) -> ir.Value:
        """Products of one input, side by side; one product where they are stored alike."""
        if len({weight.form() for weight in weights}) == 1:
            return self._writer.product(x, weights, name)
        apart = [
            self._writer.product(x, [weight], f"{name}/part_{index}")
            for index, weight in enumerate(weights)
        ]
        return self._writer.add("Concat", apart, f"{name}/Concat", axis=-1)

    def _skip_norm(
        self, x: ir.Value, skip: ir.Value, norm: Norm, name: str
    ) -> tuple[ir.Value, ir.Value]:
        """Their sum, normalized and as it is."""
        node = ir.node(
            "SkipSimplifiedLayerNormalization",
            [x, skip, self._writer.constant(norm.weight, f"{name[1:]}.weight")],
            {"epsilon": norm.epsilon},
            domain=_MICROSOFT,
            num_outputs=_SUM + 1,
            name=name,
        )
        for index, value in enumerate(node.outputs):
            value.name = f"{name}/output_{index}" if index in (0, _SUM) else ""
        self._graph.append(node)
        return node.outputs[0], node.outputs[_SUM]

    def _reshape(self, x: ir.Value, shape: Sequence[int], name: str) -> ir.Value:
        sizes = self._writer.constant(np.array(shape, np.int64), f"{name[1:]}.shape")
        return self._writer.add("Reshape", [x, sizes], name)


def _declare(value: ir.Value, name: str, shape: Sequence[int | str | None]) -> None:
    """Make a value an output's: named, f32, of this shape."""
    value.name = name
    value.dtype = ir.DataType.FLOAT
    value.shape = ir.Shape(shape)
