"""Tensors of a checkpoint by name, whichever file holds them; read one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanoaccel.errors import SourceError

if TYPE_CHECKING:
    from torch import Tensor

_PATTERN = "*.safetensors"
_INDEX = "*.safetensors.index.json"
_REMEDY = "Download the whole model again"


class TensorFiles(Mapping[str, "Tensor"]):
    """The tensors of open safetensors files; reading one copies it from its file."""

    def __init__(self, files: Mapping[str, Any]) -> None:
        self._files = files

    def __getitem__(self, name: str) -> Tensor:
        return self._files[name].get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


@contextmanager
def open_tensors(folder: Path) -> Iterator[TensorFiles]:
    """Open the weights of a model: one file, or the shards that an index names.

    Raises:
        SourceError: A file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    opened: Any = safe_open  # it has no types
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for path in _paths(folder):
            try:
                file = stack.enter_context(opened(path, framework="pt"))
            except (OSError, SafetensorError) as error:
                raise SourceError(f"{path} cannot be read: {error}", _REMEDY) from error
            files.update(dict.fromkeys(file.keys(), file))
        yield TensorFiles(files)


def _paths(folder: Path) -> list[Path]:
    index = next(iter(sorted(folder.glob(_INDEX))), None)
    if index is None:
        paths = sorted(folder.glob(_PATTERN))
        if not paths:
            raise SourceError(
                f"{folder} has no {_PATTERN}", "Quantized weights are read from these"
            )
        return paths
    names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    paths = [folder / name for name in sorted(set(names))]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise SourceError(f"{index.name} names {missing[0]}, which does not exist", _REMEDY)
    return paths
