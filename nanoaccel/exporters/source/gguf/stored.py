"""The tensors of a GGUF file as numbers."""

from __future__ import annotations

from collections.abc import Container, Iterator

import numpy as np

from nanoaccel.errors import GGUFError
from nanoaccel.exporters.source.gguf.metadata import GGUFMetadata


def read_tensors(metadata: GGUFMetadata, names: Container[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Tensors of every part of a file in f32, one after the other.

    Raises:
        GGUFError: One is stored in a way that is not known.
    """
    from gguf import dequantize

    for name, tensor in metadata.tensors.items():
        if name not in names:
            continue
        try:
            values = dequantize(tensor.data, tensor.kind)
        except (NotImplementedError, KeyError, ValueError) as error:
            raise GGUFError(
                f"{tensor.part} keeps {name} in a type that cannot be read: {tensor.kind.name}",
                "Convert it again from the original checkpoint, or export that",
            ) from error
        yield name, values.reshape(tensor.shape)
