"""A Hugging Face folder, before anything of it is loaded: is it a whole language model?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanoaccel.errors import SourceError, UnsupportedModelError
from nanoaccel.exporters.source.own_code import check_no_code
from nanoaccel.exporters.source.weight_files import SAFE, find_weight_files

_CONFIG = "config.json"
# Read, or passed over without a word where they are broken, by transformers.
_SMALL_FILES = (
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_ADAPTER = "adapter_config.json"
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not a whole model of one known head, with no code of its own.

    Raises:
        SourceError: It is an adapter, or files are missing, cut short or damaged.
        UnsupportedModelError: It wants to run code, or its weights are for another task.
    """
    check_description(folder)
    find_weight_files(folder, any_name=True)
    config = read_config(folder)
    if not isinstance(config.get("model_type"), str):
        raise SourceError(
            f"{folder / _CONFIG} names no model_type", "Take the file of the model again"
        )
    if config.get("transformers_weights") is not None:
        raise UnsupportedModelError(
            f"{folder / _CONFIG} names its weights itself (transformers_weights)",
            f"Remove the key, and call the weights {SAFE}",
        )
    for name in _SMALL_FILES:
        if (folder / name).is_file():
            read_json(folder / name)
    _check_head(folder, config)


def check_description(folder: Path) -> None:
    """Refuse what a folder's small files alone tell: that it is an adapter, or wants to run code.

    Raises:
        SourceError: It is an adapter, or config.json cannot be read.
        UnsupportedModelError: It wants to run code.
    """
    _check_adapter(folder)
    if (folder / _CONFIG).is_file():
        check_no_code(folder, read_config(folder))


def read_config(folder: Path) -> Mapping[str, Any]:
    """The contents of config.json.

    Raises:
        SourceError: It cannot be read.
    """
    return read_json(folder / _CONFIG)


def read_json(path: Path) -> Mapping[str, Any]:
    """An object in a file of a model.

    Raises:
        SourceError: It cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no JSON: {error}", "Download the model again") from error
    if not isinstance(found, dict):
        raise SourceError(f"{path} holds no JSON object", "Download the model again")
    return found


def _check_adapter(folder: Path) -> None:
    described = (folder / _ADAPTER).is_file()
    if not described and not any((folder / name).is_file() for name in _ADAPTER_WEIGHTS):
        return
    found = read_json(folder / _ADAPTER) if described else {}
    base = found.get("base_model_name_or_path")
    kind = found.get("peft_type", "an unnamed kind")
    files = [
        path for pattern in ("*.safetensors", "pytorch_model*.bin") for path in folder.glob(pattern)
    ]
    whole = any(path.name not in _ADAPTER_WEIGHTS for path in files)
    beside = ", beside weights that it is not part of" if whole else ""
    raise SourceError(
        f"{folder} is an adapter ({kind}) for {base or 'a model that it does not name'}{beside}",
        f"Merge it first: nanoaccel merge {base or 'MODEL'} {folder} NEW; or name the model "
        "without its adapter",
    )


def _check_head(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse weights of another head than a language model's."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
        MODEL_MAPPING_NAMES,
    )

    tables = (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,  # with a text decoder in it
        MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
        MODEL_MAPPING_NAMES,
    )

    kind = config["model_type"]
    named = config.get("architectures")
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or named is None:
        return
    known: set[str] = set()
    for table in tables:
        names = table.get(kind, ())
        known.update(n.casefold() for n in ([names] if isinstance(names, str) else names))
    for name in named if isinstance(named, list) else [named]:
        if str(name).casefold() not in known:
            raise UnsupportedModelError(
                f"{folder / _CONFIG} says that the weights are a {name} (architectures), "
                f"no language model of the type {kind!r}",
                "Use the model that it was made from",
            )
