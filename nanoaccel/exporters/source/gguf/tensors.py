"""The weights of a GGUF file in a model of transformers, each in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nanoaccel.errors import GGUFError, UnsupportedModelError
from nanoaccel.exporters.source.gguf.architectures import GGUFArchitecture
from nanoaccel.exporters.source.gguf.config import build_config, find_architecture
from nanoaccel.exporters.source.gguf.metadata import GGUFMetadata
from nanoaccel.exporters.source.gguf.sampling import apply_sampling
from nanoaccel.exporters.source.gguf.stored import read_tensors

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

_REMEDY = "Convert it again from the original checkpoint, or export that"
_CONFIGURED = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")


def load_gguf(metadata: GGUFMetadata, dtype: torch.dtype) -> PreTrainedModel:
    """Load a model; every tensor is used, and every parameter is filled.

    Args:
        metadata: Metadata of the file.
        dtype: Type of the weights.

    Raises:
        GGUFError: A tensor is missing, of another shape, or cannot be read.
        UnsupportedModelError: A key or a tensor is not known.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    architecture, config = find_architecture(metadata), build_config(metadata)
    with no_init_weights():
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.tie_weights()
    parameters = dict(model.named_parameters())
    left = set(parameters)
    with torch.no_grad():
        for name, values in read_tensors(metadata, set(metadata.tensors) - set(_CONFIGURED)):
            parameter_name = architecture.parameter_of(name)
            if parameter_name is None or parameter_name not in parameters:
                raise UnsupportedModelError(
                    f"{metadata.path} has a tensor {name}, which is not known for "
                    f"{metadata.architecture}",
                    "Export the original checkpoint instead",
                )
            parameter = parameters[parameter_name]
            if values.shape != tuple(parameter.shape):
                raise GGUFError(
                    f"{metadata.path} has {name} of shape {values.shape}, its fields ask for "
                    f"{tuple(parameter.shape)}",
                    _REMEDY,
                )
            parameter.copy_(torch.from_numpy(_restored(name, values, architecture, config)))
            left.discard(parameter_name)
        for parameter_name in [one for one in left if one.endswith(".bias")]:
            if architecture.biases:  # a module beside one with a bias; no bias adds nothing
                parameters[parameter_name].zero_()
                left.discard(parameter_name)
    if left:
        missing = sorted(left)
        raise GGUFError(
            f"{metadata.path} lacks {len(missing)} tensors, {missing[0]} first", _REMEDY
        )
    apply_sampling(metadata, model.generation_config)
    return model


def _restored(
    name: str, values: np.ndarray, architecture: GGUFArchitecture, config: PretrainedConfig
) -> np.ndarray:
    """A tensor as transformers keeps it."""
    if architecture.norms_from_one and name.endswith("norm.weight"):
        return np.asarray(values - np.float32(1))
    if architecture.permuted and ".attn_q." in name:
        return _unpaired(values, config.num_attention_heads)
    if architecture.permuted and ".attn_k." in name:
        return _unpaired(values, config.num_key_value_heads)
    return np.array(values)


def _unpaired(values: np.ndarray, heads: int) -> np.ndarray:
    pairs = values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(values.shape))
