"""An adapter's folder, read and checked by itself."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.adapters.peft_config import BY_PEFT, CONFIG, NOTE, WEIGHTS, PeftConfig
from nanoaccel.adapters.tensors import Float32Array, read_tensors
from nanoaccel.errors import AdapterError

_PREFIX = "base_model.model."
_TENSOR = re.compile(r"(?P<module>.+)\.(?P<part>lora_A|lora_B)(\.default)?\.weight")
_MAGNITUDE = re.compile(r"(?P<module>.+)\.lora_(?P<part>magnitude)_vector(\.default)?(\.weight)?")
_AGAIN = "Take its folder from where it was made again"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseNote:
    """What an adapter was trained on, as NanoAccel writes it beside PEFT's files.

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
        a: f32[R, I].
        b: f32[O, R].
        scale: Factor of their product.
        magnitude: f32[O], DoRA's lengths of the rows of the sum; None without DoRA.
    """

    a: Float32Array
    b: Float32Array
    scale: float
    magnitude: Float32Array | None = None

    @property
    def rank(self) -> int:
        """R."""
        return len(self.a)


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that was read, and checked by itself.

    Args:
        folder: Its files.
        fingerprint: Names its content: what computes the same has the same one.
        modules: Linear layers by their path in the base.
        base: The base that it says it belongs to; only adapters of NanoAccel do.
        base_name: Name or path of the base, as peft or NanoAccel wrote it; None where nobody did.
    """

    folder: Path
    fingerprint: str
    modules: Mapping[str, LowRank]
    base: BaseNote | None
    base_name: str | None


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, whole or damaged."""
    return (folder / CONFIG).is_file()


def fingerprint_of(config: str, weights: str) -> str:
    """Names the content of an adapter.

    Args:
        config: sha256 of its configuration, in hexadecimal.
        weights: sha256 of its tensors' file.
    """
    return hashlib.sha256(f"{config} {weights}".encode()).hexdigest()


def read_adapter(folder: Path) -> Adapter:
    """Read a LoRA, rsLoRA or DoRA adapter, whoever made it.

    Args:
        folder: PEFT's: adapter_config.json and adapter_model.safetensors.

    Raises:
        AdapterError: It is not whole, is of another kind, has another rank than it declares, or
            numbers that are none.
    """
    config_data, data = _read(folder / CONFIG), _read(folder / WEIGHTS)
    config = PeftConfig.parse(config_data.tobytes(), folder)
    tensors = read_tensors(data, folder / WEIGHTS)
    base = _note(folder)
    return Adapter(
        folder,
        fingerprint_of(_sha256(config_data), _sha256(data)),
        _modules(config, tensors),
        base,
        config.base if base is None else base.id,
    )


def _modules(config: PeftConfig, tensors: Mapping[str, Float32Array]) -> dict[str, LowRank]:
    parts: dict[str, dict[str, Float32Array]] = {}
    for name, tensor in tensors.items():
        bare = name.removeprefix(_PREFIX)
        found = _TENSOR.fullmatch(bare) or _MAGNITUDE.fullmatch(bare)
        if found is None:
            raise AdapterError(f"{config.folder} holds {name}, {_what(name)}", BY_PEFT)
        if not np.isfinite(tensor).all():
            raise AdapterError(f"{name} in {config.folder} holds NaN or infinite numbers", _AGAIN)
        parts.setdefault(found["module"], {})[found["part"]] = tensor
    if not parts:
        raise AdapterError(f"{config.folder} holds no weights", _AGAIN)
    return {module: _low_rank(config, module, part) for module, part in parts.items()}


def _low_rank(config: PeftConfig, module: str, parts: Mapping[str, Float32Array]) -> LowRank:
    a, b, magnitude = (parts.get(name) for name in ("lora_A", "lora_B", "magnitude"))
    if a is None or b is None:
        missing = "lora_A" if a is None else "lora_B"
        raise AdapterError(f"{config.folder} has no {missing} for {module}", _AGAIN)
    if a.ndim != 2 or b.ndim != 2:
        raise AdapterError(f"{config.folder} adapts {module}, no linear layer", BY_PEFT)
    rank = config.rank_of(module)
    if not len(a) == b.shape[1] == rank or rank < 1:
        raise AdapterError(
            f"{config.folder} declares the rank {rank} for {module}; its weights have "
            f"{len(a)} and {b.shape[1]}",
            _AGAIN,
        )
    if config.dora != (magnitude is not None):
        raise AdapterError(
            f"{config.folder} says use_dora={config.dora}, and its weights for {module} say "
            "otherwise",
            _AGAIN,
        )
    return LowRank(a, b, config.scaling(module, rank), magnitude)


def _what(name: str) -> str:
    if "lora_embedding" in name:
        return "an update of embeddings, which NanoAccel does not compute"
    return "which is no low-rank update of a linear layer"


def _note(folder: Path) -> BaseNote | None:
    """What NanoAccel wrote of the base."""
    if not (folder / NOTE).is_file():
        return None
    try:
        note = json.loads(_read(folder / NOTE).tobytes())
        base = note["base"]
        return BaseNote(
            id=str(base["id"]),
            revision=base["revision"],
            fingerprint=str(base["fingerprint"]),
            training=note.get("training", {}),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdapterError(f"{folder / NOTE} does not name a base", _AGAIN) from error


def _sha256(data: NDArray[np.uint8]) -> str:
    return hashlib.sha256(data.data).hexdigest()


def _read(path: Path) -> NDArray[np.uint8]:
    """All bytes of a file, u8[n]."""
    try:
        return np.fromfile(path, np.uint8)
    except FileNotFoundError as error:
        raise AdapterError(
            f"{path.parent} has no {path.name}", "Name a folder that peft, or finetune, has saved"
        ) from error
    except OSError as error:
        raise AdapterError(f"{path} cannot be read: {error}", _AGAIN) from error
