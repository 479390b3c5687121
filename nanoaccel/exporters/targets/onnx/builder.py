"""Runs onnxruntime-genai's model builder, which makes an ONNX graph of a checkpoint."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from nanoaccel.bundle import find_context_length
from nanoaccel.bundle.architectures import architecture_of
from nanoaccel.bundle.attention import uniform_length
from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.rotation import Rotation

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GRAPH = "model.onnx"
_CONFIG = "config.json"
_OWN_TYPE = "nanoaccel_dtype"
_ROTATIONS, _CONTEXT = "nanoaccel_rotations", "nanoaccel_context_length"
_EPSILON = ("rms_norm_eps", "layer_norm_eps", "norm_eps", "layer_norm_epsilon")
_FREQUENCIES, _SCALE = "inv_freq", "attention_scaling"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def run_builder(
    checkpoint: Path,
    folder: Path,
    *,
    precision: str = "fp32",
    options: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Make the graph of a float checkpoint; in a process of its own.

    Args:
        checkpoint: Folder with config.json, safetensors and a tokenizer.
        folder: Where the graph goes; made new.
        precision: As the builder calls it; exports start from "fp32".
        options: Extra ones of the builder, by name.

    Returns:
        Path of the graph.

    Raises:
        ExportError: The builder fails.
    """
    extra = [f"{name}={value}" for name, value in options.items()]
    done = run_process([str(checkpoint), str(folder), precision, *extra])
    graph = folder / GRAPH
    if done.returncode != 0 or not graph.is_file():
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        raise ExportError(
            f"onnxruntime-genai's builder cannot make the graph: {reason}",
            "Export it for OpenVINO: --runtime openvino",
        )
    return graph


def run_process(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run ``builder_process.main`` in a process of its own."""
    command = [sys.executable, "-m", "nanoaccel.exporters.targets.onnx.builder_process", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@dataclass(frozen=True, slots=True)
class Origin:
    """What the builder's graph does not say of the model that it was made from.

    Args:
        plain_norms: Whether its norms subtract the mean and have no weights.
        hidden_size: Numbers that a layer gives for a token.
        dtype: Type of its own weights, such as "bfloat16".
        epsilon: What its norms add to the variance; None when its config does not say.
        windows: Tokens that each layer attends to; None is all.
        rotations: Rotations of its rotary embeddings.
        context_length: Tokens that it can attend to, scaled rotary embeddings included, as far as
            all of them are computed alike.
    """

    plain_norms: bool
    hidden_size: int
    dtype: str
    epsilon: float | None
    windows: tuple[int | None, ...]
    rotations: tuple[Rotation, ...]
    context_length: int


def save_checkpoint(model: PreTrainedModel, folder: Path, tokenizer: Path) -> None:
    """Write a model's weights, in their own type, as a checkpoint that the builder reads in f32.

    The builder computes with what it loads (norms get 1 added, say), in the type that config.json
    names.

    Args:
        model: With float weights.
        folder: Output folder; made new.
        tokenizer: Folder of its tokenizer.
    """
    model.save_pretrained(folder, save_original_format=False)  # names of modules as they are
    path = folder / _CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    config[_ROTATIONS] = [
        {"frequencies": one.frequencies.tolist(), "scale": one.scale} for one in rotations_of(model)
    ]
    config[_OWN_TYPE], config["dtype"] = str(model.dtype).removeprefix("torch."), "float32"
    border = uniform_length(config)
    config[_CONTEXT] = find_context_length(config) if border is None else border[0]
    limit = _gate_limit(model)
    if limit is not None:
        config["swiglu_limit"] = limit
    if "original_max_position_embeddings" in config:  # where they differ it expects longrope
        config["original_max_position_embeddings"] = config["max_position_embeddings"]
    if isinstance(config.get("rope_parameters"), dict):
        config["rope_parameters"] = unscaled(config["rope_parameters"])
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")
    for name in _TOKENIZER:
        if (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, folder / name)


def _gate_limit(model: PreTrainedModel) -> float | None:
    """What gates of a model's experts are clipped to, which its config may not say."""
    found = {
        float(m.limit) for m in model.modules() if isinstance(getattr(m, "limit", None), float)
    }
    return found.pop() if len(found) == 1 else None


def unscaled(rope: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary parameters without their scaling, of all layers or by kind of layer.

    The builder reads some kinds of scaling otherwise than transformers and refuses others; its
    tables are replaced by those of the model's own frequencies.
    """
    kinds = {kind: value for kind, value in rope.items() if isinstance(value, Mapping)}
    if kinds:
        return {kind: unscaled(value) for kind, value in kinds.items()}
    kept = ("rope_theta", "partial_rotary_factor")
    return {"rope_type": "default", **{name: rope[name] for name in kept if name in rope}}


def read_origin(checkpoint: Path) -> Origin:
    """What config.json says, and ``save_checkpoint`` noted in it."""
    config = json.loads((checkpoint / _CONFIG).read_text(encoding="utf-8"))
    architecture = architecture_of(config)
    epsilons = (float(config[name]) for name in _EPSILON if config.get(name) is not None)
    fixed = architecture.norm_epsilon
    return Origin(
        plain_norms=architecture.plain_norms,
        hidden_size=config["hidden_size"],
        dtype=config.get(_OWN_TYPE, "float32"),
        epsilon=next(epsilons, None) if fixed is None else fixed,
        windows=windows_of(config),
        rotations=tuple(
            Rotation(np.array(one["frequencies"], np.float32), one["scale"])
            for one in config.get(_ROTATIONS, ())
        ),
        context_length=config.get(_CONTEXT, 0),
    )


def rotations_of(model: PreTrainedModel) -> list[Rotation]:
    """Those of a model's rotary embeddings, each once.

    transformers keeps frequencies as ``inv_freq``, or with a kind of layers before that name, and
    the scale of cosines and sines as ``attention_scaling`` beside them.
    """
    found: dict[tuple[bytes, float], Rotation] = {}
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if not name.endswith(_FREQUENCIES) or "original" in name:
                continue
            own = name.removesuffix(_FREQUENCIES) + _SCALE
            scale = float(getattr(module, own, getattr(module, _SCALE, 1.0)))
            one = Rotation(buffer.detach().float().numpy(), scale)
            found[one.frequencies.tobytes(), scale] = one
    return list(found.values())


def windows_of(config: Mapping[str, Any]) -> tuple[int | None, ...]:
    """Tokens that each layer attends to; None is all.

    Args:
        config: As in config.json. Without kinds of layers, a window is that of all.
    """
    window = config.get("sliding_window")
    usual = "full_attention" if window is None else "sliding_attention"
    kinds = config.get("layer_types") or [usual] * config["num_hidden_layers"]
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)
