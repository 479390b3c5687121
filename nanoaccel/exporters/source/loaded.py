"""Whether what was loaded is all that a model's files hold, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nanoaccel.errors import SourceError
from nanoaccel.exporters.source.text_part import (
    KEYS,
    causal_class,
    decoder_config,
    decoder_key,
    other_parts,
)

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PretrainedConfig, PreTrainedModel

_SHOWN = 3
_FLOATS = ("F64", "F32", "F16", "BF16")
# Buffers that older versions stored and that the config alone determines.
_COMPUTED = re.compile(r"\.(masked_bias|causal_mask|inv_freq|cos_cached|sin_cached)$")
_HEAD = "lm_head.weight"
_LAYER = re.compile(r"^model\.layers\.(\d+)\.")
_WHOLE = "Download the whole model again, or the config.json that belongs to these weights"


def load_whole(
    path: Path, types: Mapping[str, str], config: PretrainedConfig | None = None, **options: Any
) -> PreTrainedModel:
    """Load a language model with transformers, and account for every tensor.

    No code of the folder runs.

    Args:
        path: The model's folder.
        types: Type of each tensor in its files, by name, where that is known.
        config: Configuration of the text decoder; None reads that in the folder.
        options: More of ``from_pretrained``.

    Raises:
        SourceError: A weight is missing, unknown, of another shape, or tied and stored twice with
            different numbers.
    """
    from transformers import AutoConfig

    whole = AutoConfig.from_pretrained(path, trust_remote_code=False)
    config = decoder_config(whole) if config is None else config
    part = config.model_type != whole.model_type
    if part:
        types = {decoder_key(name): kind for name, kind in types.items()}
        options["key_mapping"] = dict(KEYS)
        if types:  # a part that says otherwise than the whole is common
            config.tie_word_embeddings = _HEAD not in types
    model, info = causal_class(config).from_pretrained(
        path,
        config=config,
        local_files_only=True,
        ignore_mismatched_sizes=True,  # they are refused below, by name
        output_loading_info=True,
        **options,
    )
    check_loaded(model, info, path, part=part)
    _check_names(model, types, path)
    return model


def check_loaded(
    model: PreTrainedModel, info: Mapping[str, Any], path: Path, *, part: bool = False
) -> None:
    """Refuse a model that holds other numbers than its files.

    Args:
        model: As it was loaded.
        info: What ``from_pretrained`` gives for ``output_loading_info``.
        path: What was loaded; for the message.
        part: Whether the files hold a decoder among other parts, which are left out.

    Raises:
        SourceError: See ``load_whole``.
    """
    missing = sorted(map(str, info.get("missing_keys") or ()))
    unknown = sorted(key for key in info.get("unexpected_keys") or () if not _known(model, key))
    if part:
        unknown = sorted({*unknown} - {*other_parts(model, unknown)})
    prefix = _prefix(missing, unknown)
    if prefix:
        raise SourceError(
            f"the weights in {path} are named with a prefix, {prefix!r}: {_first(unknown)}",
            "Save the model without what wraps it (torch.compile, DDP, FSDP), or rename them",
        )
    if missing:
        raise SourceError(
            f"{path} lacks weights that its config.json asks for: {_first(missing)}", _WHOLE
        )
    for name, found, expected in sorted(info.get("mismatched_keys") or ()):
        raise SourceError(
            f"{name} is {list(found)} in {path}; its config.json asks for {list(expected)}", _WHOLE
        )
    if unknown:
        raise SourceError(
            f"{path} has weights that no {type(model).__name__} of its config.json has: "
            f"{_first(unknown)}",
            _WHOLE,
        )
    for line in info.get("error_msgs") or ():
        raise SourceError(f"{path} cannot be loaded: {' '.join(str(line).split())}", _WHOLE)
    _tie(model, path)


def check_runs(model: PreTrainedModel, path: Path) -> None:
    """Refuse a model whose config fits its weights and that yet cannot read two tokens.

    Raises:
        SourceError: It cannot.
    """
    import torch

    try:
        with torch.inference_mode():
            model(torch.zeros((1, 2), dtype=torch.int64))
    except Exception as error:  # a value that does not fit fails anywhere in its modules
        reason = (str(error).strip().splitlines() or [""])[0]
        raise SourceError(
            f"the model in {path} cannot run as its config.json describes it: "
            f"{type(error).__name__}: {reason}",
            _WHOLE,
        ) from error


def _known(model: PreTrainedModel, key: str) -> bool:
    """Whether a stored tensor that no parameter takes is what the model computes itself."""
    names = (key, f"{model.base_model_prefix}.{key}")
    own = {name for name, _ in model.named_buffers()}
    return _COMPUTED.search(key) is not None or any(name in own for name in names)


def _prefix(missing: list[str], unknown: list[str]) -> str | None:
    """What stands before all names that are unknown, and after which they are those missing."""
    for key in unknown[:1]:
        for name in missing:
            before = key.removesuffix(name)
            if before != key and all(other.startswith(before) for other in unknown):
                return before
    return None


def _tie(model: PreTrainedModel, path: Path) -> None:
    """Share weights that the config ties and that the files hold twice."""
    import torch

    one, other = model.get_input_embeddings(), model.get_output_embeddings()
    tied = getattr(model.config, "tie_word_embeddings", False)
    if not tied or one is None or other is None or one.weight is other.weight:
        return
    if not torch.equal(one.weight, other.weight):
        raise SourceError(
            f"config.json of {path} says that the head is the embedding (tie_word_embeddings), "
            "and its files hold a head with other numbers",
            "Set tie_word_embeddings to false if the head is meant, or remove it from the files",
        )
    model.tie_weights()
    if hasattr(model, "all_tied_weights_keys"):  # loading took the pair out
        model.all_tied_weights_keys = model.get_expanded_tied_weights_keys(all_submodels=True)


def _check_names(model: PreTrainedModel, types: Mapping[str, str], path: Path) -> None:
    """Refuse what loading does not report."""
    base = f"{model.base_model_prefix}."
    twice = [name for name in types if base != "." and base + name in types]
    if twice:
        raise SourceError(
            f"{path} holds weights under two names: {_first(twice)} with and without {base}",
            _WHOLE,
        )
    own = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    packed = [
        name
        for name, kind in types.items()
        if kind not in _FLOATS and (name in own or base + name in own)
    ]
    if packed:
        raise SourceError(
            f"{path} stores {_first(packed)} as {types[packed[0]]}, and its config.json names no "
            "quantization",
            "Take the config.json that belongs to these weights",
        )
    if not any("layers" in rule for rule in model._keys_to_ignore_on_load_unexpected or ()):
        return
    # Layers that only guess are left out; that it is they, and no others, the config says.
    config = model.config.get_text_config()
    last = config.num_hidden_layers + (getattr(config, "num_nextn_predict_layers", None) or 0)
    layers = ((name, _LAYER.match(name)) for name in types)
    beyond = [name for name, found in layers if found is not None and int(found[1]) >= last]
    if beyond:
        raise SourceError(
            f"{path} has layers beyond the {config.num_hidden_layers} of its config.json: "
            f"{_first(sorted(beyond))}",
            _WHOLE,
        )


def _first(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
