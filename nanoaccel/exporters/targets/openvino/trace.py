"""Traces a torch model to a stateful OpenVINO graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.bundle.attention import has_keys, has_recurrent_layers, state_obstacle
from nanoaccel.errors import ExportError, NanoAccelError, UnsupportedModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

GRAPH = "openvino_model.xml"
_STACK = 3  # axes of the weights of all experts of a layer


def check_supported(config: PretrainedConfig) -> None:
    """Refuse, before any weight is loaded, what cannot be exported.

    Raises:
        UnsupportedModelError: The architecture is not a text decoder, or it keeps something else
            than keys and values.
    """
    from nanoaccel.exporters.source.text_part import causal_class
    from nanoaccel.exporters.targets.openvino.tracing.kernels import computes_recurrence

    model = causal_class(config)
    text = config.get_text_config().to_dict()
    reason = state_obstacle(text)
    recurrent = getattr(model, "_is_stateful", False) or has_recurrent_layers(text)
    if reason is None and recurrent and not computes_recurrence(model):
        reason = "its recurrence is neither a gated delta rule nor a scan of Mamba"
    if reason is not None:
        raise UnsupportedModelError(
            f"{config.model_type!r} cannot run in the engine: {reason}",
            "Use a model of another architecture",
        )


def check_paged(config: PretrainedConfig) -> None:
    """Refuse, before any weight is loaded, recurrent states that OpenVINO does not page.

    Raises:
        UnsupportedModelError: The message says what it is.
    """
    from nanoaccel.exporters.source.text_part import causal_class
    from nanoaccel.exporters.targets.openvino.tracing.kernels import decays_by_cell

    model, decoder = causal_class(config), config.get_text_config()
    text, kinds = decoder.to_dict(), getattr(decoder, "layer_types", None)
    reason = None
    if decays_by_cell(model):
        reason = "the gates of its recurrence are finer than those that OpenVINO pages"
    elif not has_keys({**text, "layer_types": kinds}):  # it may compute them
        reason = "it has no layer with keys and values"
    if reason is not None:
        raise UnsupportedModelError(
            f"{config.model_type!r} cannot run in the engine with OpenVINO: {reason}",
            "Export it for ONNX Runtime: --runtime onnx",
        )


def trace(model: PreTrainedModel, folder: Path) -> Path:
    """Write the graph, config.json and generation_config.json of a model into a folder.

    Args:
        model: With its weights in the type that the graph shall keep.
        folder: Output folder; made when missing.

    Returns:
        Path of the graph's xml file.

    Raises:
        ExportError: The model does not trace.
        UnsupportedModelError: Its attention has a mask of another kind than engines compute.
    """
    import openvino as ov

    from nanoaccel.exporters.quantize.compression.mapped import MappedTensors
    from nanoaccel.exporters.source.context import context_length
    from nanoaccel.exporters.targets.openvino.tracing.graph import stateful_graph

    folder.mkdir(parents=True, exist_ok=True)
    tensors = MappedTensors(folder)  # of the graph, until it is saved
    try:
        with tensors, _traced_in_half(model):
            graph = stateful_graph(model, context_length(model.config), tensors)
    except NanoAccelError as error:
        kind = model.config.model_type
        raise type(error)(
            f"{kind!r} cannot run in the engine: {error.problem}", error.remedy
        ) from error
    except Exception as error:  # any module of any model may raise anything
        line = (str(error).strip().splitlines() or [""])[0]
        raise ExportError(
            f"{model.config.model_type} does not trace: {type(error).__name__}: {line}",
            "Try the transformers version that constraints.txt pins",
        ) from error
    ov.save_model(graph, folder / GRAPH, compress_to_fp16=False)
    model.config.save_pretrained(folder)
    if model.generation_config is not None:
        model.generation_config.save_pretrained(folder)
    return folder / GRAPH


@contextmanager
def _traced_in_half(model: PreTrainedModel) -> Iterator[None]:
    """Let weights in 16 bits become constants of 16 bits, and all else compute in f32."""
    import torch

    from nanoaccel.exporters.targets.openvino.tracing.experts import is_computed

    if model.dtype not in (torch.bfloat16, torch.float16):
        yield
        return
    from openvino.frontend.pytorch import patch_model

    attribute = "_nanoaccel_forward"
    stacks = [
        (module, name, weight)
        for module in model.modules()
        if is_computed(module)
        for name, weight in module.named_parameters(recurse=False)
        if weight.dim() == _STACK
    ]
    for module, name, weight in stacks:  # what is patched turns them to f32
        setattr(module, name, torch.nn.Parameter(torch.zeros(()).expand(weight.shape), False))
    patch_model.__make_16bit_traceable(model, attribute)
    for module, name, weight in stacks:
        setattr(module, name, weight)
    try:
        yield
    finally:
        patch_model.unpatch_model(model, attribute)
