"""Where a model comes from: a hub id, a folder, a GGUF file, or ``sample``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanoaccel.errors import NanoAccelError, SourceError
from nanoaccel.exporters.gguf import GGUFMetadata, read_metadata
from nanoaccel.exporters.prequantized import Checkpoint, PackedWeight, detect, load_quantized
from nanoaccel.exporters.sample import fetch_sample
from nanoaccel.exporters.weight_types import FLOATS, WeightType

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_HUB_ID = re.compile(r"^[\w.-]+(/[\w.-]+)?(@[\w./-]+)?$")
_WEIGHTS = ("*.safetensors", "*.bin")
_HUB_FILES = ["*.json", "*.jinja", "*.model", "*.txt"]
_HUB_SKIP = ["*/*", "consolidated*"]  # other formats of the same weights


@dataclass(frozen=True, slots=True)
class Source:
    """A model on this disk.

    Args:
        id: What the user asked for.
        revision: Commit on the hub; None for local files.
        folder: Where config.json and the weights are, or the GGUF file.
        gguf: What the GGUF file says of itself, when it is one.
    """

    id: str
    revision: str | None
    folder: Path
    gguf: GGUFMetadata | None


def resolve(model: str) -> Source:
    """Find a model, and download it when it is on the hub.

    Args:
        model: Hub id (``org/name`` or ``org/name@revision``), folder, .gguf file, or ``sample``.

    Raises:
        SourceError: There is no such model, or it has no weights.
    """
    path = Path(model).expanduser()
    if model == "sample" and not path.exists():
        return _from_file(model, fetch_sample())
    if path.is_file():
        return _from_file(model, path)
    if path.is_dir():
        return _from_folder(model, path)
    if path.suffix == ".gguf" or path.is_absolute() or not _HUB_ID.match(model):
        raise SourceError(f"{model} does not exist", "Name a hub id, a folder or a .gguf file")
    return _from_hub(model)


def _from_file(model: str, path: Path) -> Source:
    if path.suffix != ".gguf":
        raise SourceError(f"{path} is not a .gguf file", "Name a folder, a .gguf file or a hub id")
    return Source(model, None, path.parent, read_metadata(path))


def _from_folder(model: str, path: Path) -> Source:
    if not (path / "config.json").is_file():
        ggufs = sorted(path.glob("*.gguf"))
        remedy = f"Name the file: {ggufs[0]}" if ggufs else "Name a Hugging Face model's folder"
        raise SourceError(f"{path} has no config.json", remedy)
    if not any(file for pattern in _WEIGHTS for file in path.glob(pattern)):
        raise SourceError(
            f"{path} has no weights (*.safetensors or *.bin)", "Download the whole model"
        )
    return Source(model, None, path, None)


def _from_hub(model: str) -> Source:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    name, _, revision = model.partition("@")
    try:
        for weights in ("*.safetensors", "pytorch_model*.bin"):
            patterns = [*_HUB_FILES, weights]
            folder = Path(
                snapshot_download(
                    name,
                    revision=revision or None,
                    allow_patterns=patterns,
                    ignore_patterns=_HUB_SKIP,
                )
            )
            if any(folder.glob(weights)):
                break
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SourceError(
            f"{model} is no local path, and the hub did not give it: {line}",
            "Check the name, log in with 'hf auth login' if it is gated, or download it first",
        ) from error
    found = _from_folder(model, folder)
    return Source(model, folder.name, found.folder, None)


def load_config(source: Source) -> PretrainedConfig:
    """Read the model's config; no weight is loaded.

    Raises:
        SourceError: It cannot be read, or needs code of its own.
    """
    from transformers import AutoConfig

    with _reading(source):
        return AutoConfig.from_pretrained(source.folder, **_gguf_arguments(source))


def find_checkpoint(source: Source) -> Checkpoint | None:
    """How a model's weights were quantized before it came here; None when they were not.

    Raises:
        UnsupportedModelError: In a way that cannot be read.
    """
    if source.gguf is not None:
        return None
    try:
        config = json.loads((source.folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise SourceError(
            f"{source.folder / 'config.json'} is no JSON: {error}", "Download the model again"
        ) from error
    return detect(config)


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
    from transformers import AutoModelForCausalLM

    types = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    own = torch.float32 if source.gguf is not None else "auto"
    with _reading(source):
        model = AutoModelForCausalLM.from_pretrained(
            source.folder, dtype=types.get(weights, own), **_gguf_arguments(source)
        )
    if end_ids:
        model.generation_config.eos_token_id = list(end_ids)
    return model.eval()


def _gguf_arguments(source: Source) -> dict[str, Any]:
    return {} if source.gguf is None else {"gguf_file": source.gguf.path.name}


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
