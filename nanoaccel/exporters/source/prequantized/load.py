"""From quantized files to a plain torch model, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.errors import SourceError, UnsupportedModelError
from nanoaccel.exporters.source.hollow import make_hollow
from nanoaccel.exporters.source.loaded import check_loaded
from nanoaccel.exporters.source.prequantized.awq import AWQ
from nanoaccel.exporters.source.prequantized.bitsandbytes import BITSANDBYTES
from nanoaccel.exporters.source.prequantized.checkpoint import Checkpoint, Method
from nanoaccel.exporters.source.prequantized.compressed_tensors import COMPRESSED_TENSORS
from nanoaccel.exporters.source.prequantized.gptq import GPTQ
from nanoaccel.exporters.source.prequantized.layer import Format, Layer
from nanoaccel.exporters.source.prequantized.mxfp4 import BLOCKS, dequantize_experts
from nanoaccel.exporters.source.prequantized.packed import PackedWeight
from nanoaccel.exporters.source.prequantized.tensor_files import TensorFiles, open_tensors

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

_FORMATS: dict[Method, Format] = {
    "gptq": GPTQ,
    "awq": AWQ,
    "compressed-tensors": COMPRESSED_TENSORS,
    "bitsandbytes": BITSANDBYTES,
}


def load_quantized(
    folder: Path, checkpoint: Checkpoint, dtype: torch.dtype | None = None
) -> tuple[PreTrainedModel, dict[str, PackedWeight]]:
    """Load a quantized checkpoint as a plain model.

    One layer at a time is dequantized. Beside the model, the integers of the layers that can stay
    4-bit are held at one byte a weight.

    Args:
        folder: Where config.json and the safetensors are.
        checkpoint: What ``detect`` found in config.json.
        dtype: Type of the model's weights; None is the one that config.json names, else f16.

    Returns:
        The model, without a quantization_config, and by module name the weights that can go into
        a graph as they are.

    Raises:
        SourceError: A tensor is missing, does not fit, or has scales that are not finite.
        UnsupportedModelError: The model keeps its projections transposed, as GPT-2 does.
    """
    import torch
    from transformers import AutoConfig, GenerationConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    for name in ("quantization_config", "auto_map"):
        config.__dict__.pop(name, None)
    named = getattr(config, "dtype", None) if dtype is None else dtype
    kind = torch.float16 if named is None else named
    architecture = _architecture(config)
    with open_tensors(folder) as tensors:
        state, packed = _dequantize(tensors, checkpoint, kind)
    model = _assemble(architecture, config, state, kind, folder)
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    linear = {name for name, at in model.named_modules() if isinstance(at, torch.nn.Linear)}
    return model, {name: weight for name, weight in packed.items() if name in linear}


def _architecture(config: PretrainedConfig) -> type[PreTrainedModel]:
    """The class of the model.

    Raises:
        UnsupportedModelError: Its projections are not [out, in], as those of checkpoints are.
    """
    from transformers.pytorch_utils import Conv1D

    model = make_hollow(config)
    if any(isinstance(module, Conv1D) for module in model.modules()):
        raise UnsupportedModelError(
            f"Quantized {config.model_type!r} keeps its projections transposed",
            "Use the unquantized model",
        )
    return type(model)


def _dequantize(
    tensors: TensorFiles, checkpoint: Checkpoint, dtype: torch.dtype
) -> tuple[dict[str, torch.Tensor], dict[str, PackedWeight]]:
    """The model's tensors by name, and the weights that can stay packed by module name."""
    import torch

    if checkpoint.method == "mxfp4":
        if not any(name.endswith(BLOCKS) for name in tensors):
            raise _plain(checkpoint)
        return dequantize_experts(tensors, dtype), {}
    form = _FORMATS[checkpoint.method]
    layers = _layers(tensors, form)
    if not layers:
        raise _plain(checkpoint)
    of_layers = {f"{name}.{part}" for name, parts in layers.items() for part in parts}
    state = {name: tensors[name] for name in tensors if name not in of_layers}
    packed: dict[str, PackedWeight] = {}
    for name, parts in layers.items():
        layer = Layer(name, {part: tensors[f"{name}.{part}"] for part in parts})
        weight = form.decode(layer, checkpoint)
        if isinstance(weight, PackedWeight):
            packed[name] = weight
            weight = weight.dequantize()
        state[f"{name}.weight"] = torch.from_numpy(weight).to(dtype)
    return state, packed


def _plain(checkpoint: Checkpoint) -> SourceError:
    return SourceError(
        f"The weights are {checkpoint.describe()} by their config, and none of them is",
        "Take the config.json that belongs to these weights",
    )


def _layers(tensors: TensorFiles, form: Format) -> dict[str, list[str]]:
    """Quantized layers by name, with the parts that are stored of each."""
    found: dict[str, list[str]] = {}
    for name in tensors:
        for part in form.parts:
            if name.endswith(f".{part}"):
                found.setdefault(name.removesuffix(f".{part}"), []).append(part)
    for name, parts in found.items():
        if f"{name}.weight" in tensors:
            parts.append("weight")
    return found


def _assemble(
    architecture: type[PreTrainedModel],
    config: PretrainedConfig,
    state: dict[str, torch.Tensor],
    dtype: torch.dtype,
    folder: Path,
) -> PreTrainedModel:
    """A model that takes over the tensors of a state.

    Raises:
        SourceError: It needs a tensor that is missing or has another shape, or has no use for one.
    """
    model, info = architecture.from_pretrained(
        None,
        config=config,
        state_dict=state,
        dtype=dtype,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    # AutoGPTQ gave a bias of zeros to layers that have none.
    empty = {k for k in info["unexpected_keys"] if k.endswith(".bias") and not state[k].any()}
    check_loaded(model, {**info, "unexpected_keys": info["unexpected_keys"] - empty}, folder)
    return model.eval()
