"""Loads a Hugging Face model's folder into torch: no network, no code of it, no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig

from nanoaccel.bundle import MODEL_CONFIG
from nanoaccel.errors import BundleDamagedError, BundleError, SourceError, UnsupportedModelError
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.source.loaded import load_whole
from nanoaccel.exporters.source.model_folder import check_folder, read_config
from nanoaccel.exporters.source.prequantized import find_quantization
from nanoaccel.exporters.source.weight_files import find_weight_files

# Their frequencies depend on the longest text of a pass: texts would change each other.
_MOVING_ROTATIONS = ("dynamic", "longrope")


def load_model(graph: Path, dtype: torch.dtype, attention: str) -> Any:
    """A model in torch, ready to run.

    Args:
        graph: Its config.json.
        dtype: Type of the weights, and of what is computed.
        attention: Name of the attention function that it shall use.

    Raises:
        BundleError: The file is no model's config.json.
        BundleDamagedError: Weights are missing, or cannot be read.
        UnsupportedModelError: Torch could run it, but not exactly as this engine batches.
    """
    if graph.name != MODEL_CONFIG:
        raise BundleError(
            f"torch runs a Hugging Face model, and {graph} is another runtime's graph",
            "Name the model's own folder, or leave backend at 'auto'",
        )
    folder = graph.parent
    try:
        check_folder(folder)
        _check_config(read_config(folder), folder)
        stored = find_weight_files(folder)
    except SourceError as error:
        raise BundleDamagedError(error.problem, error.remedy) from error
    try:
        with quiet():
            config = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except (ValueError, KeyError, OSError) as error:
        raise unsupported(folder, f"transformers does not know it: {_first_line(error)}") from error
    try:
        with quiet():
            model = load_whole(
                folder,
                stored.types,
                config,
                dtype=dtype,
                attn_implementation=attention,
                use_safetensors=True,
            )
    except SourceError as error:
        raise BundleDamagedError(error.problem, error.remedy) from error
    except (OSError, RuntimeError, SafetensorError) as error:
        raise BundleDamagedError(
            f"the weights in {folder} cannot be read: {_first_line(error)}", "Copy the model again"
        ) from error
    except ValueError as error:
        raise unsupported(folder, _first_line(error)) from error
    if not getattr(model, "_supports_attention_backend", False):
        raise unsupported(folder, f"{type(model).__name__} computes its attention itself")
    if getattr(model, "_is_stateful", False):
        raise unsupported(folder, f"{type(model).__name__} has a state beside keys and values")
    model.requires_grad_(False)
    return model.eval()


def unsupported(folder: Path, reason: str) -> UnsupportedModelError:
    """The error for a model that cannot be run, in words of its folder."""
    return UnsupportedModelError(
        f"torch cannot run {folder}: {reason}", f"Export it: nanoaccel export {folder} OUT"
    )


def _check_config(config: Mapping[str, Any], folder: Path) -> None:
    """Refuse what its config.json alone tells."""
    kind = config.get("model_type")
    if config.get("is_encoder_decoder"):
        raise unsupported(folder, f"{kind} is an encoder with a decoder")
    for part in ("vision_config", "audio_config"):
        if part in config:
            raise unsupported(folder, f"{kind} reads more than text ({part})")
    if find_quantization(folder) is not None:
        raise unsupported(folder, "its weights are quantized")
    rotations = [config.get("rope_scaling"), config.get("rope_parameters")]
    for rotation in rotations:
        kinds = rotation.values() if isinstance(rotation, dict) else ()
        for item in (rotation, *kinds):
            kind = item.get("rope_type", item.get("type")) if isinstance(item, dict) else None
            if kind in _MOVING_ROTATIONS:
                raise unsupported(folder, f"its {kind} rotation changes with the longest text")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
