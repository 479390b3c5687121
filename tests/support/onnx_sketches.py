"""Small graphs that are put together, run with NanoAccel's operators and with stock ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from support.native_linear import Matrix

from nanoaccel.runtime.backends.onnxruntime.operators import rewrite
from nanoaccel.runtime.backends.onnxruntime.session import open_session
from nanoaccel.runtime.cpu.threads import plan_here
from nanoaccel.runtime.cpu.workload import Workload
from nanoaccel.runtime.native import Operators, find_operators

OPERATORS = find_operators()
STOCK = Operators(None)
K = 128


@dataclass
class Sketch:
    """A small graph that is put together: its input is x [1, T, 128]."""

    nodes: list[Any] = field(default_factory=list)
    stored: list[Any] = field(default_factory=list)

    def keep(self, name: str, array: np.ndarray) -> str:
        self.stored.append(onnx.numpy_helper.from_array(array, name))
        return name

    def add(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        domain: str = "",
        **more: Any,
    ) -> None:
        self.nodes.append(
            onnx.helper.make_node(kind, inputs, outputs, outputs[0], domain=domain, **more)
        )

    def product(self, x: str, matrix: Matrix, out: str, level: int = 4) -> None:
        """Scales are widened by a node, as the exporter leaves them."""
        scales = self.keep(f"{out}.scales", matrix.scales)
        self.add("Cast", [scales], [f"{out}.wide"], to=1)
        inputs = [x, self.keep(f"{out}.codes", matrix.codes), f"{out}.wide"]
        if matrix.zeros is not None:
            inputs.append(self.keep(f"{out}.zeros", matrix.zeros))
        sizes = {"K": matrix.inputs, "N": matrix.outputs, "block_size": matrix.group}
        more = {"bits": matrix.bits, "accuracy_level": level}
        self.add("MatMulNBits", inputs, [out], "com.microsoft", **sizes, **more)

    def save(self, folder: Path, outputs: dict[str, int]) -> Path:
        info = onnx.helper.make_tensor_value_info
        inputs = [info("x", 1, [1, "T", K])]
        if any("rows" in node.input for node in self.nodes):
            inputs.append(info("rows", 7, ["R"]))
        graph = onnx.helper.make_graph(
            self.nodes,
            "sketch",
            inputs,
            [info(name, 1, [1, None, width]) for name, width in outputs.items()],
            self.stored,
        )
        sets = [onnx.helper.make_opsetid(*one) for one in (("", 22), ("com.microsoft", 1))]
        model = onnx.helper.make_model(graph, opset_imports=sets, ir_version=10)
        path = folder / "model.onnx"
        onnx.save(model, path, save_as_external_data=True, location="model.onnx.data")
        return path


def both(graph: Path, tokens: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each output of own and of stock operators."""
    x = np.random.default_rng(1).normal(size=(1, tokens, K)).astype(np.float32)
    feeds = {"x": x, "rows": np.array([0, tokens - 1])}
    plan = plan_here(Workload(role="decode", threads=2))
    graphs = ((OPERATORS, rewrite(graph)), (STOCK, None))
    sessions = [open_session(graph, plan, *operators) for operators in graphs]
    known = {item.name for item in sessions[1].get_inputs()}
    feeds = {name: array for name, array in feeds.items() if name in known}
    return list(zip(*(session.run(None, feeds) for session in sessions), strict=True))


def kinds(graph: Path) -> Counter[str]:
    found = rewrite(graph)
    assert found is not None
    return Counter(node.op_type for node in onnx.load_from_string(found.model).graph.node)


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    """Equal but for activations that round the other way."""
    assert np.abs(found - wanted).max() <= 0.02 * np.abs(wanted).max()
