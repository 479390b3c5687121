"""Refuses a model whose folder wants to run code of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nanoaccel.errors import UnsupportedModelError

_MODEL, _TOKENIZER = "AutoModelForCausalLM", "AutoTokenizer"
_KERNELS = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")


def check_no_code(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a model that transformers itself cannot read; code that it names is never run.

    A folder that names code is taken all the same when transformers has classes of these names.

    Args:
        folder: Folder of the model.
        config: Contents of its config.json.

    Raises:
        UnsupportedModelError: It names code, and transformers has nothing in its place.
    """
    found = [*_model_code(config), *_tokenizer_code(folder, config), *_kernels(config)]
    if found:
        raise UnsupportedModelError(
            f"{folder} wants to run code of its own: {', '.join(found)}",
            "No code of a model runs here; use a version of it that transformers itself knows",
        )


def _model_code(config: Mapping[str, Any]) -> Iterator[str]:
    named = _entries(config)
    if not named:
        return
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = config.get("model_type")
    own = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind) if kind in CONFIG_MAPPING_NAMES else None
    if own is None:
        yield from (f"{name}: {code}" for name, code in named.items() if name != _TOKENIZER)
    elif _MODEL in named and _class(named[_MODEL]) != str(own).casefold():
        yield f"{_MODEL}: {named[_MODEL]}"


def _tokenizer_code(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    path = folder / "tokenizer_config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError:
        return  # whoever reads it says so
    named = {**_entries(config), **(_entries(found) if isinstance(found, dict) else {})}
    if _TOKENIZER not in named:
        return
    import transformers

    if _class(named[_TOKENIZER]) not in {name.casefold() for name in dir(transformers)}:
        yield f"{_TOKENIZER}: {named[_TOKENIZER]}"


def _kernels(config: Mapping[str, Any]) -> Iterator[str]:
    """Repositories of compiled code that a config names in the place of attention."""
    for key in _KERNELS:
        if "/" in str(config.get(key)):
            yield f"{key}: {config[key]}"
    for part in config.values():
        if isinstance(part, dict):
            yield from _kernels(part)


def _entries(config: Mapping[str, Any]) -> dict[str, str]:
    """What auto_map names, each as ``module.Class``."""
    found = config.get("auto_map")
    if isinstance(found, (str, list)):  # older tokenizers name their own class alone
        found = {_TOKENIZER: found}
    if not isinstance(found, dict):
        return {}
    lists = {name: at if isinstance(at, list) else [at] for name, at in found.items()}
    classes = {name: [str(one) for one in at if one is not None] for name, at in lists.items()}
    return {str(name): ", ".join(at) for name, at in classes.items() if at}


def _class(code: str) -> str:
    return code.split(", ")[0].rpartition(".")[2].casefold()
