"""The files that hold a model's weights: which they are, and whether they are whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanoaccel.errors import SourceError

SAFETENSORS = ".safetensors"
SAFE = "model.safetensors"
_INDEX = ".index.json"
_PICKLE = "pytorch_model.bin"
_LENGTH = 8  # bytes in front of a header that say how long it is
_POINTER = b"version https://git-lfs"
_PARTIAL = ("*.incomplete", "*.part", "*.crdownload")
_REMEDY = "Download the whole model again"


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The result.

    Args:
        paths: The files.
        types: Type of each stored tensor by name ("F32", "BF16", "I32"); of safetensors only,
            because to look into the others is to load them.
    """

    paths: tuple[Path, ...]
    types: Mapping[str, str]


def find_weight_files(folder: Path, *, any_name: bool = False) -> WeightFiles:
    """The files that transformers would load, in its order of preference.

    Args:
        folder: Folder of the model.
        any_name: Whether a lone .safetensors file may have another name, as those of older
            quantizers have.

    Raises:
        SourceError: There are none, or one is missing, cut short or damaged.
    """
    single, index = folder / SAFE, folder / (SAFE + _INDEX)
    if single.is_file():
        return _read([single], _stored_elsewhere(index))
    if index.is_file():
        return _read(*_shards(index))
    found = sorted(folder.glob("*.safetensors"))
    if any_name and len(found) == 1:
        return _read(found, {})
    pickles = folder / _PICKLE, folder / (_PICKLE + _INDEX)
    if pickles[0].is_file():
        return _pickles([pickles[0]])
    if pickles[1].is_file():
        return _pickles(_shards(pickles[1])[0])
    if found:
        raise SourceError(
            f"{folder} has {found[0].name}, but neither {SAFE} nor {index.name}", _REMEDY
        )
    for pattern in _PARTIAL:
        for path in sorted(folder.glob(pattern)):
            raise SourceError(f"{path} is half of a download", _REMEDY)
    raise SourceError(f"{folder} has no weights: it has no *.safetensors, and no *.bin", _REMEDY)


def _stored_elsewhere(index: Path) -> dict[str, str]:
    """Nothing, where an index names the one file beside it.

    Raises:
        SourceError: It names others: which of the two sets is meant nobody can tell.
    """
    if not index.is_file():
        return {}
    paths, shard_of = _shards(index)
    if [path.name for path in paths] == [SAFE]:
        return shard_of
    raise SourceError(
        f"{index.parent} holds its weights twice: {SAFE}, and what {index.name} names",
        "Delete those that are not meant",
    )


def _shards(index: Path) -> tuple[list[Path], dict[str, str]]:
    """Files that an index names, and the file of each tensor."""
    try:
        shard_of = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(shard_of.values()))
        paths = [index.parent / name for name in names]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{index} is no index of weights", _REMEDY) from error
    if not paths:
        raise SourceError(f"{index} names no weights", _REMEDY)
    for name, path in zip(names, paths, strict=True):
        if path.name != name:
            raise SourceError(f"{index.name} names {name}, which is in another folder", _REMEDY)
        if not path.is_file():
            raise SourceError(f"{index.name} names {path}, which does not exist", _REMEDY)
    return paths, shard_of


def _pickles(paths: list[Path]) -> WeightFiles:
    for path in paths:
        _check_start(path)
    return WeightFiles(tuple(paths), {})


def _read(paths: list[Path], shard_of: Mapping[str, str]) -> WeightFiles:
    types: dict[str, str] = {}
    homes: dict[str, Path] = {}
    for path in paths:
        for name, tensor in _header(path).items():
            if name in homes:
                raise SourceError(f"{name} is in {homes[name]} and in {path.name}", _REMEDY)
            homes[name], types[name] = path, str(tensor["dtype"])
    for name, file in shard_of.items():
        if name not in homes or homes[name].name != file:
            raise SourceError(f"{file} has no {name}, which the index of {path} names", _REMEDY)
    return WeightFiles(tuple(paths), types)


def _header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file, whose length is checked."""
    _check_start(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        if length > size - _LENGTH:
            raise SourceError(f"{path} cannot be read: it is cut short within its header", _REMEDY)
        try:
            header: dict[str, Any] = json.loads(file.read(length))
            header.pop("__metadata__", None)
            ends = [int(tensor["data_offsets"][1]) for tensor in header.values()]
            known = all("dtype" in tensor for tensor in header.values())
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise SourceError(f"{path} cannot be read: its header is damaged", _REMEDY) from error
    expected = _LENGTH + length + max(ends, default=0)
    if size != expected or not known:
        raise SourceError(
            f"{path} cannot be read: it has {size} bytes, and {expected} by its header", _REMEDY
        )
    return header


def _check_start(path: Path) -> None:
    """Refuse placeholders of weight files, such as Git LFS pointers."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_POINTER))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", _REMEDY) from error
    if start == _POINTER:
        raise SourceError(
            f"{path} is a pointer of Git LFS in the place of the weights", "Run: git lfs pull"
        )
    if len(start) < _LENGTH:
        raise SourceError(f"{path} cannot be read: it has {len(start)} bytes", _REMEDY)
