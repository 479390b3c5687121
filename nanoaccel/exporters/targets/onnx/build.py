"""The ONNX graph of a model: the builder's, packed, with the weights of the OpenVINO graph."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import openvino as ov
from onnx_ir.passes.common import RemoveUnusedNodesPass

from nanoaccel.exporters.progress import Tell, silence
from nanoaccel.exporters.source.prequantized.tensor_files import open_tensors
from nanoaccel.exporters.targets.onnx.builder import read_origin
from nanoaccel.exporters.targets.onnx.passes.attention_windows import restore_windows
from nanoaccel.exporters.targets.onnx.passes.embedding_scale import restore_embedding_scale
from nanoaccel.exporters.targets.onnx.passes.hidden_outputs import add_hidden_outputs
from nanoaccel.exporters.targets.onnx.passes.norms import restore_norms
from nanoaccel.exporters.targets.onnx.passes.packed_attention import pack_attention
from nanoaccel.exporters.targets.onnx.passes.rotary_caches import compute_rotary_caches
from nanoaccel.exporters.targets.onnx.passes.select_rows import select_rows
from nanoaccel.exporters.targets.onnx.save import GRAPH, save_graph
from nanoaccel.exporters.targets.onnx.stacks import read_stacks
from nanoaccel.exporters.targets.onnx.transplant import transplant
from nanoaccel.exporters.targets.onnx.weight_matching import WeightMatcher
from nanoaccel.exporters.targets.onnx.weights import read_weights


def packed_graph(builder: Path, checkpoint: Path) -> ir.Model:
    """The builder's graph with its tokens packed.

    Args:
        builder: File of the graph.
        checkpoint: Folder of the checkpoint that it was made from.

    Raises:
        UnsupportedModelError: It cannot be packed.
    """
    origin = read_origin(checkpoint)
    model = ir.load(builder)
    restore_embedding_scale(model.graph, origin.hidden_size, origin.dtype)
    restore_norms(model.graph, origin.epsilon, plain=origin.plain_norms)
    pack_attention(model)
    select_rows(model.graph, origin.hidden_size)
    add_hidden_outputs(model.graph, origin.hidden_size)
    restore_windows(model.graph, origin.windows)
    compute_rotary_caches(model.graph, origin.rotations, origin.context_length)
    return model


def build_graph(
    checkpoint: Path,
    builder: Path,
    compressed: Path,
    folder: Path,
    tell: Tell = silence,
) -> Path:
    """Make and save the graph.

    Args:
        checkpoint: Folder of the float checkpoint that the builder read.
        builder: File of the graph that it made.
        compressed: File of the OpenVINO graph.
        folder: Output folder; made new.
        tell: Called with the share that is done.

    Raises:
        UnsupportedModelError: The builder's graph cannot be packed.
        ExportError: The weights do not fit, or the graph cannot be written.
    """
    model = packed_graph(builder, checkpoint)
    source = ov.Core().read_model(compressed)
    weights, stacks = read_weights(source), read_stacks(source)
    with open_tensors(checkpoint) as tensors:
        transplant(model.graph, weights, stacks, WeightMatcher(tensors, tensors), tell)
    RemoveUnusedNodesPass()(model)
    folder.mkdir(parents=True)
    save_graph(model, folder)
    return folder / GRAPH
