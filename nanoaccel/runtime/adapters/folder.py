"""An adapter's folder, read and checked by itself."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoaccel.bundle.adapters import CONFIG, NOTE, WEIGHTS
from nanoaccel.errors import AdapterError
from nanoaccel.runtime.adapters.peft_config import MERGE, PeftConfig
from nanoaccel.runtime.adapters.tensors import read_tensors
from nanoaccel.runtime.types.low_rank import LowRankUpdate
from nanoaccel.runtime.types.plan import Float32Array

_PREFIX = "base_model.model."
_TENSOR = re.compile(r"(?P<module>.+)\.(?P<part>lora_A|lora_B)(\.default)?\.weight")
_AGAIN = "Take its folder from where it was made again"


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that was read.

    Args:
        folder: Where it is.
        fingerprint: Names its content: what computes the same has the same one.
        updates: By the name of the module that they change.
        base: Name of the base that it was trained on; None where it does not say.
        base_fingerprint: Names the weights of that base; only adapters of NanoAccel say it.
    """

    folder: Path
    fingerprint: str
    updates: Mapping[str, LowRankUpdate]
    base: str | None
    base_fingerprint: str | None


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
    """Read a LoRA or rsLoRA adapter, whoever made it.

    Args:
        folder: PEFT's: adapter_config.json and adapter_model.safetensors.

    Raises:
        AdapterError: It is not whole, is of another kind, has another rank than it declares, or
            numbers that are none.
    """
    config_data, data = _read(folder / CONFIG), _read(folder / WEIGHTS)
    config = PeftConfig.parse(config_data.tobytes(), folder)
    tensors = read_tensors(data, folder / WEIGHTS)
    fingerprint = fingerprint_of(_sha256(config_data), _sha256(data))
    base, base_fingerprint = _note(folder)
    return Adapter(
        folder, fingerprint, _updates(config, tensors), base or config.base, base_fingerprint
    )


def _updates(config: PeftConfig, tensors: Mapping[str, Float32Array]) -> dict[str, LowRankUpdate]:
    parts: dict[str, dict[str, Float32Array]] = {}
    for name, tensor in tensors.items():
        found = _TENSOR.fullmatch(name.removeprefix(_PREFIX))
        if found is None:
            raise AdapterError(f"{config.folder} holds {name}, {_what(name)}", MERGE)
        if not np.isfinite(tensor).all():
            raise AdapterError(f"{name} in {config.folder} holds NaN or infinite numbers", _AGAIN)
        parts.setdefault(found["module"], {})[found["part"]] = tensor
    if not parts:
        raise AdapterError(f"{config.folder} holds no weights", _AGAIN)
    return {module: _update(config, module, part) for module, part in parts.items()}


def _update(config: PeftConfig, module: str, parts: Mapping[str, Float32Array]) -> LowRankUpdate:
    down, up = parts.get("lora_A"), parts.get("lora_B")
    if down is None or up is None:
        missing = "lora_A" if down is None else "lora_B"
        raise AdapterError(f"{config.folder} has no {missing} for {module}", _AGAIN)
    if down.ndim != 2 or up.ndim != 2:
        raise AdapterError(f"{config.folder} adapts {module}, which is not a linear layer", MERGE)
    rank = config.rank_of(module)
    if not len(down) == up.shape[1] == rank or rank < 1:
        raise AdapterError(
            f"{config.folder} declares the rank {rank} for {module}; its weights have "
            f"{len(down)} and {up.shape[1]}",
            _AGAIN,
        )
    return LowRankUpdate(down, up * np.float32(config.scaling(module, rank)))


def _sha256(data: NDArray[np.uint8]) -> str:
    return hashlib.sha256(data.data).hexdigest()


def _what(name: str) -> str:
    if "lora_embedding" in name:
        return "an update of embeddings, which is not computed at run time"
    if "magnitude" in name:
        return "which is DoRA's and is not computed at run time"
    return "which is no low-rank update of a linear layer"


def _note(folder: Path) -> tuple[str | None, str | None]:
    """What NanoAccel wrote of the base: its name, and the fingerprint of its weights."""
    if not (folder / NOTE).is_file():
        return None, None
    try:
        base = json.loads(_read(folder / NOTE).tobytes())["base"]
        return str(base["id"]), str(base["fingerprint"])
    except (ValueError, KeyError, TypeError) as error:
        raise AdapterError(f"{folder / NOTE} does not name a base", _AGAIN) from error


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
