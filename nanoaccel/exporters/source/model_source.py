"""Where a model comes from: a hub id, a folder, a GGUF file, or ``sample``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.errors import NanoAccelError, SourceError, UnsupportedModelError
from nanoaccel.exporters.quantize.weight_types import FLOATS, WeightType
from nanoaccel.exporters.source.gguf import GGUFMetadata, build_config, load_gguf, read_metadata
from nanoaccel.exporters.source.loaded import check_runs, load_whole
from nanoaccel.exporters.source.model_folder import check_description, check_folder, read_config
from nanoaccel.exporters.source.places import locate
from nanoaccel.exporters.source.prequantized import (
    Checkpoint,
    PackedWeight,
    find_quantization,
    load_quantized,
)
from nanoaccel.exporters.source.sample import SAMPLE, SAMPLING
from nanoaccel.exporters.source.text_part import decoder_config
from nanoaccel.exporters.source.weight_files import find_weight_files

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


@dataclass(frozen=True, slots=True)
class Source:
    """A model on this disk.

    Args:
        id: What the user asked for.
        revision: Commit on the hub; None for local files.
        folder: Where config.json and the weights are, or the GGUF file.
        gguf: What the GGUF file says of itself, when it is one.
        package: The package whose plugin found it, with its version; None where none did.
    """

    id: str
    revision: str | None
    folder: Path
    gguf: GGUFMetadata | None
    package: str | None = None


def resolve(model: str) -> Source:
    """Find a model, and download it when it is on the hub and was not pulled.

    Args:
        model: Hub id (``org/name`` or ``org/name@revision``), folder, .gguf file, ``sample``, or
            NAME:REFERENCE of a plugin.

    Raises:
        SourceError: There is no such model, it is an adapter, or its weights are not whole.
        UnsupportedModelError: It wants to run code, or is no language model.
        PluginError: A plugin of that name cannot be used, or failed.
    """
    found = locate(model)
    source = _from_folder if found.path.is_dir() else _from_file
    made = source(model if found.id is None else found.id, found.path)
    return replace(made, revision=found.revision, package=found.package)


def _from_file(model: str, path: Path) -> Source:
    if path.suffix != ".gguf":
        raise SourceError(f"{path} is not a .gguf file", "Name a folder, a .gguf file or a hub id")
    return Source(model, None, path.parent, read_metadata(path))


def _from_folder(model: str, path: Path) -> Source:
    check_description(path)
    if not (path / "config.json").is_file():
        ggufs = sorted(path.glob("*.gguf"))
        remedy = f"Name the file: {ggufs[0]}" if ggufs else "Name a Hugging Face model's folder"
        raise SourceError(f"{path} has no config.json", remedy)
    check_folder(path)
    return Source(model, None, path, None)


def load_config(source: Source) -> PretrainedConfig:
    """Read the config of the model, or of the text decoder in it; no weight is loaded.

    Raises:
        SourceError: It cannot be read, or needs code of its own.
        UnsupportedModelError: The installed transformers does not know its type.
    """
    from transformers import AutoConfig

    with _reading(source):
        if source.gguf is not None:
            return build_config(source.gguf)
        _check_known(str(read_config(source.folder).get("model_type")))
        config: PretrainedConfig = AutoConfig.from_pretrained(
            source.folder, trust_remote_code=False
        )
    config = decoder_config(config)
    config.__dict__.pop("auto_map", None)  # nor shall a bundle name code to whoever opens it
    return config


def _check_known(kind: str) -> None:
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if kind not in CONFIG_MAPPING_NAMES:
        raise UnsupportedModelError(
            f"transformers {transformers.__version__} does not know {kind!r}",
            "Install a newer one: pip install --upgrade transformers",
        )


def describe_part(source: Source, config: PretrainedConfig) -> str:
    """What is left out where only the text decoder of a model is exported; empty for a whole one.

    Args:
        source: Where the model is.
        config: What ``load_config`` gave.
    """
    if source.gguf is not None:
        return ""
    kind = read_config(source.folder)["model_type"]
    if kind == config.model_type:
        return ""
    return f"the text decoder ({config.model_type}) of a {kind!r} checkpoint, which reads text only"


def find_checkpoint(source: Source) -> Checkpoint | None:
    """How a model's weights were quantized before it came here; None when they were not.

    Raises:
        UnsupportedModelError: In a way that cannot be read.
    """
    if source.gguf is not None:
        return None
    return find_quantization(source.folder)


def load(
    source: Source, weights: WeightType, end_ids: tuple[int, ...] = ()
) -> tuple[PreTrainedModel, Mapping[str, PackedWeight]]:
    """Load a model, quantized or not.

    Args:
        source: Where it is.
        weights: The recipe's type.
        end_ids: Tokens that end the text; none keeps what the model's own files say.

    Returns:
        The model, with float weights, and the weights that can stay as they were quantized, by
        module.

    Raises:
        SourceError: It cannot be read.
    """
    checkpoint = find_checkpoint(source)
    if checkpoint is None:
        return load_model(source, weights, end_ids), {}
    with _reading(source):
        model, packed = load_quantized(source.folder, checkpoint)
        check_runs(model, source.folder)
    return model.eval(), {} if weights in FLOATS else packed


def load_model(
    source: Source, weights: WeightType, end_ids: tuple[int, ...] = ()
) -> PreTrainedModel:
    """Load the weights, in the type that the recipe keeps; under integers, in their own.

    Args:
        source: Where they are.
        weights: The recipe's type.
        end_ids: Tokens that end the text; none keeps what the model's own files say.

    Raises:
        SourceError: They cannot be read.
    """
    import torch

    types = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    chosen = types.get(weights)
    with _reading(source):
        if source.gguf is not None:
            model = load_gguf(source.gguf, torch.float32 if chosen is None else chosen)
            if source.id == SAMPLE:
                model.generation_config.update(**SAMPLING)
        else:
            stored = find_weight_files(source.folder).types
            own = "auto" if chosen is None else chosen
            model = load_whole(source.folder, stored, load_config(source), dtype=own)
        check_runs(model.eval(), source.folder)
    if end_ids:
        model.generation_config.eos_token_id = list(end_ids)
    return model


@contextmanager
def _reading(source: Source) -> Iterator[None]:
    """Turn what transformers raises on a bad model into a SourceError."""
    try:
        yield
    except NanoAccelError:
        raise
    except Exception as error:  # transformers raises nearly everything, safetensors its own
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        raise SourceError(
            f"transformers cannot read {source.id}: {reason}",
            "Check that the folder is a whole model whose code is in transformers itself",
        ) from error
