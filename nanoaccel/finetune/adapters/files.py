"""An adapter's folder: PEFT's two files, and beside them which base it belongs to."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanoaccel.errors import SourceError

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import Tensor
    from transformers import PreTrainedModel

CONFIG, WEIGHTS, BASE = "adapter_config.json", "adapter_model.safetensors", "nanoaccel_adapter.json"
_PREFIX = "base_model.model."
_TENSOR = re.compile(r"(?P<module>.+)\.(?P<part>lora_A|lora_B)\.weight")
_MAGNITUDE = re.compile(r"(?P<module>.+)\.lora_magnitude_vector(\.weight)?")
_TRAIN_AGAIN = "Take its folder from where it was made again"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseNote:
    """What an adapter was trained on.

    Args:
        id: What the user asked for.
        revision: Commit on the hub; None for local files.
        fingerprint: Of the base's weights; see ``exporters/source/fingerprint.py``.
        training: How it was trained.
    """

    id: str
    revision: str | None
    fingerprint: str
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LowRank:
    """What an adapter has for one linear layer.

    Args:
        a: [R, I].
        b: [O, R].
        scale: Factor of their product.
        magnitude: [O], DoRA's lengths of the rows of the sum; None without DoRA.
    """

    a: Tensor
    b: Tensor
    scale: float
    magnitude: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that was read and checked by itself.

    Args:
        folder: Its files.
        modules: Linear layers by their path in the base.
        base: The base that it says it belongs to; None where it does not say.
    """

    folder: Path
    modules: Mapping[str, LowRank]
    base: BaseNote | None


def write_adapter(
    folder: Path,
    model: PreTrainedModel,
    config: LoraConfig,
    values: Mapping[str, Tensor],
    base: BaseNote,
) -> None:
    """Write an adapter.

    Args:
        folder: Stands already.
        model: With peft's layers in it.
        config: As of ``attach``.
        values: The adapter's weights by their names in the model.
        base: What it was trained on.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    tensors = get_peft_model_state_dict(model, dict(values), save_embedding_layers=False)
    save_file(
        {f"{_PREFIX}{name}": tensor.contiguous() for name, tensor in tensors.items()},
        folder / WEIGHTS,
        metadata={"format": "pt"},
    )
    config.base_model_name_or_path = base.id
    config.revision = base.revision
    config.inference_mode = True
    config.save_pretrained(folder)
    note = {
        "base": {"id": base.id, "revision": base.revision, "fingerprint": base.fingerprint},
        "training": dict(base.training),
    }
    (folder / BASE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def read_adapter(folder: Path) -> Adapter:
    """Read a LoRA, rsLoRA or DoRA adapter, whoever made it.

    Raises:
        SourceError: It is not whole, holds more than that, has another rank than it declares, or
            numbers that are none.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = _json(folder / CONFIG)
    if config.get("peft_type") != "LORA":
        raise SourceError(
            f"{folder} is an adapter of the kind {config.get('peft_type')!r}",
            "LoRA, rsLoRA and DoRA can be used",
        )
    if not (folder / WEIGHTS).is_file():
        raise SourceError(f"{folder} has no {WEIGHTS}", "Save it again with safe_serialization")
    try:
        tensors = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise SourceError(f"{folder / WEIGHTS} cannot be read: {error}", _TRAIN_AGAIN) from error
    return Adapter(folder, _modules(folder, config, tensors), _base(folder))


def _modules(
    folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> dict[str, LowRank]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        found = _TENSOR.fullmatch(name.removeprefix(_PREFIX))
        magnitude = _MAGNITUDE.fullmatch(name.removeprefix(_PREFIX))
        if found is None and magnitude is None:
            raise SourceError(
                f"{folder} holds {name}, which is part of no linear layer's adapter",
                "Train it without biases, whole modules, or embeddings of its own",
            )
        if not bool(tensor.isfinite().all()):
            raise SourceError(f"{name} in {folder} holds NaN or infinite numbers", _TRAIN_AGAIN)
        match = found or magnitude
        assert match is not None
        parts.setdefault(match["module"], {})["magnitude" if found is None else found["part"]] = (
            tensor.float()
        )
    if not parts:
        raise SourceError(f"{folder} holds no weights", _TRAIN_AGAIN)
    return {module: _low_rank(folder, config, module, part) for module, part in parts.items()}


def _low_rank(
    folder: Path, config: Mapping[str, Any], module: str, parts: Mapping[str, Tensor]
) -> LowRank:
    a, b = parts.get("lora_A"), parts.get("lora_B")
    if a is None or b is None or a.ndim != 2 or b.ndim != 2:
        raise SourceError(f"{folder} has half an adapter for {module}", _TRAIN_AGAIN)
    rank = _by_pattern(config, "rank_pattern", module, config.get("r"))
    if not a.shape[0] == b.shape[1] == rank:
        raise SourceError(
            f"{folder} declares the rank {rank} for {module}; its weights have "
            f"{a.shape[0]} and {b.shape[1]}",
            _TRAIN_AGAIN,
        )
    alpha = float(_by_pattern(config, "alpha_pattern", module, config.get("lora_alpha", rank)))
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    magnitude = parts.get("magnitude")
    if bool(config.get("use_dora")) != (magnitude is not None):
        raise SourceError(
            f"{folder} says use_dora={bool(config.get('use_dora'))}, and its weights for {module} "
            "say otherwise",
            _TRAIN_AGAIN,
        )
    return LowRank(a, b, scale, magnitude)


def _by_pattern(config: Mapping[str, Any], name: str, module: str, default: Any) -> Any:
    """A value that may differ for some modules; peft matches the end of their paths."""
    for pattern, value in (config.get(name) or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _base(folder: Path) -> BaseNote | None:
    if not (folder / BASE).is_file():
        return None
    note = _json(folder / BASE)
    try:
        base = note["base"]
        return BaseNote(
            id=base["id"],
            revision=base["revision"],
            fingerprint=base["fingerprint"],
            training=note.get("training", {}),
        )
    except (KeyError, TypeError) as error:
        raise SourceError(f"{folder / BASE} does not name a base", _TRAIN_AGAIN) from error


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SourceError(
            f"{path.parent} has no {path.name}", "Name an adapter's folder"
        ) from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {error}", _TRAIN_AGAIN) from error
    if not isinstance(found, dict):
        raise SourceError(f"{path} holds no JSON object", _TRAIN_AGAIN)
    return found
