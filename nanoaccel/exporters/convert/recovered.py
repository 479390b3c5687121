"""A model of transformers from an OpenVINO graph: the weights, out of what compresses them.

Matrices are found by the modules that multiply with them, vectors by the modules whose operations
read them. That all of it was found, and is the model that the graph is, is not assumed: both give
the same numbers over the same tokens, or the graph is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nanoaccel.bundle import MODEL_CONFIG
from nanoaccel.calibration.probes import log_softmax
from nanoaccel.errors import ExportError, NanoAccelError, SourceError, UnsupportedModelError
from nanoaccel.exporters.targets.onnx.weights import (
    GraphWeights,
    floats_of,
    is_float,
    leaf_of,
    read_weights,
)
from nanoaccel.openvino_core import openvino_core

if TYPE_CHECKING:
    import openvino as ov
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedModel

    from nanoaccel.exporters.targets.onnx.stored import StoredWeight

_TOLERANCE = 1e-3  # of a log-probability, in nats
_COMPARED = 64  # tokens
_PREFIX = "__module."
_REMEDY = "Convert its original instead: --original MODEL"


@dataclass(frozen=True, slots=True)
class Recovered:
    """A graph's model.

    Args:
        model: In f32, with the graph's numbers.
        stored: Its matrices as the graph stores them, by module.
    """

    model: PreTrainedModel
    stored: Mapping[str, StoredWeight]


def recover(graph: Path) -> Recovered:
    """Make the model of a graph; config.json stands beside it.

    Args:
        graph: Its xml file, of a bundle or of a folder of optimum-intel.

    Raises:
        SourceError: Its config.json is missing, or belongs to another model.
        UnsupportedModelError: A weight is stored in a way that cannot be read.
        ExportError: The model does not give what the graph gives.
    """

    config = _read_config(graph.parent)
    read = openvino_core().read_model(graph)
    try:
        weights = read_weights(read)
    except ExportError as error:
        raise UnsupportedModelError(error.problem, _REMEDY) from error
    model = _assemble(config, weights, dict(_vectors(read)), graph)
    _check_same(model, graph)
    stored = {**weights.embeddings, **weights.products}
    return Recovered(model, stored)


def _read_config(folder: Path) -> PretrainedConfig:
    from transformers import AutoConfig

    if not (folder / MODEL_CONFIG).is_file():
        raise SourceError(f"{folder} has no {MODEL_CONFIG}", "Take that of the model's original")
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # transformers raises nearly everything
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SourceError(
            f"transformers cannot read {folder / MODEL_CONFIG}: {line}", _REMEDY
        ) from error
    for name in ("quantization_config", "auto_map"):
        config.__dict__.pop(name, None)
    return config


def _assemble(
    config: PretrainedConfig,
    weights: GraphWeights,
    vectors: Mapping[str, list[NDArray[np.float32]]],
    graph: Path,
) -> PreTrainedModel:
    """A model whose every parameter comes from the graph."""
    import torch
    from transformers import GenerationConfig

    from nanoaccel.exporters.source.hollow import make_hollow

    tied = bool(getattr(config, "tie_word_embeddings", False))
    hollow = make_hollow(config)
    if tied:
        hollow.tie_weights()
    state: dict[str, Tensor] = {}
    for name, parameter in hollow.named_parameters():
        module, _, kind = name.rpartition(".")
        found = _matrix(weights, module) if parameter.ndim == 2 and kind == "weight" else None
        if found is None:
            found = _vector(vectors.get(module, []), hollow.get_submodule(module), kind, parameter)
        if found is None or found.shape != tuple(parameter.shape):
            raise UnsupportedModelError(
                f"the weights of {name} cannot be read out of {graph}", _REMEDY
            )
        state[name] = torch.from_numpy(np.ascontiguousarray(found))
    model, _ = type(hollow).from_pretrained(
        None, config=config, state_dict=state, dtype=torch.float32, output_loading_info=True
    )
    if (graph.parent / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(graph.parent)
    whole: PreTrainedModel = model.eval()
    return whole


def _matrix(weights: GraphWeights, module: str) -> NDArray[np.float32] | None:
    """A matrix with its columns where the model expects them, and what scales its input in it."""
    stored = weights.products.get(module)
    stored = weights.embeddings.get(module) if stored is None else stored
    if stored is None:
        return None
    values = stored.dequantize()
    if stored.permutation is not None:
        in_place = np.empty_like(values)
        in_place[:, stored.permutation] = values
        values = in_place
    return values if stored.input_scale is None else values * stored.input_scale


def _vector(
    found: list[NDArray[np.float32]], module: nn.Module, kind: str, parameter: Tensor
) -> NDArray[np.float32] | None:
    """A norm's weights, or a bias."""
    fitting = [values for values in found if values.size == parameter.numel()]
    if not fitting or kind not in ("weight", "bias"):
        return None
    both = getattr(module, "bias", None) is not None and parameter.ndim == 1
    is_norm = getattr(module, "weight", None) is not None and module.weight.ndim == 1
    place = 1 if kind == "bias" and both and is_norm else 0
    if place >= len(fitting):
        return None
    values = fitting[place].reshape(tuple(parameter.shape))
    return values - np.float32(1) if kind == "weight" and _adds_one(module) else values


def _adds_one(norm: nn.Module) -> bool:
    """Whether a norm multiplies with one more than its weights, as Gemma's do."""
    import copy

    import torch

    assert isinstance(norm.weight, torch.Tensor)
    zeros = torch.nn.Parameter(torch.zeros(norm.weight.shape))
    probe = copy.deepcopy(norm).to_empty(device="cpu")
    probe.weight = zeros
    if getattr(probe, "bias", None) is not None:
        probe.bias = torch.nn.Parameter(torch.zeros(norm.weight.shape))
    with torch.inference_mode():
        given = probe(torch.arange(1.0, norm.weight.numel() + 1)[None])
    return bool(given.any())


def _vectors(model: ov.Model) -> Iterator[tuple[str, list[NDArray[np.float32]]]]:
    """Stored floats that are no matrices, by the modules whose operations read them."""
    found: dict[str, list[NDArray[np.float32]]] = {}
    for node in model.get_ordered_ops():
        name = str(node.get_friendly_name())
        if node.get_type_name() == "MatMul" and "+" in name:
            found.update(_fused_biases(node, name))
        elif name.startswith(_PREFIX):
            module = name.removeprefix(_PREFIX).partition("/")[0]
            for value in node.input_values():
                leaf = leaf_of(value) if len(value.get_partial_shape()) != 2 else None
                if leaf is not None and is_float(leaf):
                    values = floats_of(leaf).astype(np.float32).ravel()
                    found.setdefault(module, []).append(values)
    yield from found.items()


def _fused_biases(node: ov.Node, name: str) -> Iterator[tuple[str, list[NDArray[np.float32]]]]:
    """Biases of projections that became one, each for its own."""
    (target,) = node.output(0).get_target_inputs()
    add = target.get_node()
    if add.get_type_name() != "Add":
        return
    leaf = leaf_of(add.input_value(1 - target.get_index()))
    if leaf is None or not is_float(leaf):
        return
    (reader,) = add.output(0).get_target_inputs()
    widths = reader.get_node().input_value(2).get_node().data
    parts = np.split(floats_of(leaf).astype(np.float32).ravel(), np.cumsum(widths)[:-1])
    for part, values in zip(name.split("+"), parts, strict=True):
        yield part.removeprefix(_PREFIX).partition("/")[0], [values]


def _check_same(model: PreTrainedModel, graph: Path) -> None:
    """Refuse a model that is not the graph's.

    Raises:
        ExportError: It gives other numbers.
    """
    import torch

    from nanoaccel.exporters.targets.openvino.runner import GraphRunner

    size = model.config.get_text_config().vocab_size
    tokens = np.random.default_rng(0).integers(0, size, _COMPARED)
    try:
        expected = GraphRunner(graph).logits(tokens)
    except NanoAccelError as error:
        raise ExportError(error.problem, _REMEDY) from error
    with torch.inference_mode():
        given = model(torch.from_numpy(tokens)[None]).logits[0].float().numpy()
    worst = float(np.abs(log_softmax(given) - log_softmax(expected)).max())
    if not worst <= _TOLERANCE:
        raise ExportError(
            f"the weights of {graph} cannot be taken out of it: the model that they make differs "
            f"from the graph by {worst:.2g} nats, and {_TOLERANCE:g} is allowed",
            _REMEDY,
        )
