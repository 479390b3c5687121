"""The ONNX graph of a model, written from its OpenVINO graph."""

from __future__ import annotations

from pathlib import Path

from onnx_ir.passes.common import RemoveUnusedNodesPass

from nanoaccel.bundle.packed_graph import OWN_DOMAIN
from nanoaccel.exporters.progress import Tell, silence
from nanoaccel.exporters.targets.onnx.save import GRAPH, save_graph
from nanoaccel.exporters.targets.onnx.source.trial import unsupported
from nanoaccel.exporters.targets.onnx.translate import translate
from nanoaccel.openvino_core import openvino_core
from nanoaccel.registry import OPERATORS


def check_graph(traced: Path, context: int) -> None:
    """Refuse a graph that cannot be written, whatever its weights are stored as.

    Args:
        traced: File of the OpenVINO graph.
        context: Tokens that the model can attend to.

    Raises:
        UnsupportedModelError: It has parts that cannot be packed, or that need NanoAccel's
            operators, which are not here.
    """
    model = translate(openvino_core().read_model(traced), context)
    operators = OPERATORS.resolve("native")()
    own = [node.op_type for node in model.graph if node.domain == OWN_DOMAIN]
    if own and operators.library is None:
        raise unsupported(
            f"it needs NanoAccel's operators ({own[0]}), which do not run here "
            f"({operators.described()})"
        )


def build_graph(source: Path, folder: Path, context: int, tell: Tell = silence) -> Path:
    """Make and save the graph.

    Args:
        source: File of the OpenVINO graph.
        folder: Output folder; made new.
        context: Tokens that the model can attend to.
        tell: Called with the share that is done.

    Raises:
        UnsupportedModelError: It has parts that cannot be packed.
        ExportError: Its weights are stored in a way that ONNX Runtime cannot compute with, or the
            graph cannot be written.
    """
    model = translate(openvino_core().read_model(source), context, tell)
    RemoveUnusedNodesPass()(model)
    folder.mkdir(parents=True)
    save_graph(model, folder)
    return folder / GRAPH
