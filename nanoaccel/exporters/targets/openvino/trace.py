"""Traces a torch model to a stateful OpenVINO graph, with optimum."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.bundle.attention import layer_kinds, obstacle
from nanoaccel.errors import ExportError, UnsupportedModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_TASK = "text-generation-with-past"
GRAPH = "openvino_model.xml"


def check_supported(config: PretrainedConfig) -> None:
    """Refuse, before any weight is loaded, what cannot be exported.

    Raises:
        UnsupportedModelError: The architecture is not a text decoder, is unknown to optimum, or
            needs another version of transformers, which the message names.
    """
    import_module("optimum.exporters.openvino")  # registers what it can export
    from optimum.exporters.tasks import TasksManager
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = config.model_type
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or config.is_encoder_decoder:
        raise UnsupportedModelError(
            f"{kind!r} is not a text decoder", "NanoAccel exports causal language models"
        )
    try:
        constructor = TasksManager.get_exporter_config_constructor(
            exporter="openvino", task=_TASK, model_type=kind, library_name="transformers"
        )
    except (KeyError, ValueError) as error:
        raise UnsupportedModelError(
            f"optimum-intel cannot export {kind!r} as a text decoder",
            "Use a model of another architecture",
        ) from error
    _check_version(kind, constructor(config, task=_TASK))
    _check_attention(config)


def _check_attention(config: PretrainedConfig) -> None:
    """Refuse what the engine's paged attention does not compute, however well it is traced."""
    from transformers import AutoModelForCausalLM

    text = config.get_text_config().to_dict()
    reason = obstacle(text)
    model = AutoModelForCausalLM._model_mapping.get(type(config), None)
    if reason is None and getattr(model, "_is_stateful", False) and not layer_kinds(text):
        reason = "it has layers with a state of another kind than keys and values"
    if reason is not None:
        raise UnsupportedModelError(
            f"{config.model_type!r} cannot run in the engine: {reason}",
            "Use a model of another architecture",
        )


def _check_version(kind: str, exporter: object) -> None:
    import transformers
    from packaging.version import Version

    installed = Version(transformers.__version__)
    lowest = getattr(exporter, "MIN_TRANSFORMERS_VERSION", None)
    highest = getattr(exporter, "MAX_TRANSFORMERS_VERSION", None)
    if lowest is not None and installed < Version(str(lowest)):
        raise _wrong_version(kind, f">={lowest}")
    if highest is not None and installed > Version(str(highest)):
        raise _wrong_version(kind, f"<={highest}")


def _wrong_version(kind: str, fitting: str) -> UnsupportedModelError:
    import transformers

    return UnsupportedModelError(
        f"{kind!r} cannot be exported with transformers {transformers.__version__}",
        f'Install one that can: pip install "transformers{fitting}"',
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
    """
    import torch
    from optimum.exporters.openvino import export_from_model

    _part_buffers(model)
    half = model.dtype in (torch.bfloat16, torch.float16)
    try:
        export_from_model(model, folder, task=_TASK, stateful=True, patch_16bit_model=half)
    except (ValueError, RuntimeError, TypeError, KeyError, AttributeError, IndexError) as error:
        line = (str(error).strip().splitlines() or [""])[0]
        raise ExportError(
            f"{model.config.model_type} does not trace: {type(error).__name__}: {line}",
            "Try the transformers version that constraints.txt pins",
        ) from error
    return folder / GRAPH


def _part_buffers(model: PreTrainedModel) -> None:
    """Copy buffers that two names stand for, which torch does not trace.

    Rotary embeddings that change with the length are left so when the model has run.
    """
    seen: set[int] = set()
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
            if id(buffer) in seen:
                module._buffers[name] = buffer.clone()
            seen.add(id(buffer))
