"""Tensors of a checkpoint by name, whichever file holds them; read one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanoaccel.errors import SourceError
from nanoaccel.exporters.source.weight_files import SAFETENSORS, find_weight_files

if TYPE_CHECKING:
    from torch import Tensor

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
        for path in find_weight_files(folder, any_name=True).paths:
            if path.suffix != SAFETENSORS:
                raise SourceError(
                    f"{folder} has no *{SAFETENSORS}", "Quantized weights are read from these"
                )
            try:
                file = stack.enter_context(opened(path, framework="pt"))
            except (OSError, SafetensorError) as error:
                raise SourceError(f"{path} cannot be read: {error}", _REMEDY) from error
            files.update(dict.fromkeys(file.keys(), file))
        yield TensorFiles(files)
