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
    from gguf import GGUFReader, dequantize

    for path in metadata.parts:
        for tensor in GGUFReader(path).tensors:
            if tensor.name not in names:
                continue
            try:
                values = dequantize(tensor.data, tensor.tensor_type)
            except (NotImplementedError, KeyError, ValueError) as error:
                raise GGUFError(
                    f"{path} keeps {tensor.name} in a type that cannot be read: "
                    f"{tensor.tensor_type.name}",
                    "Convert it again from the original checkpoint, or export that",
                ) from error
            yield tensor.name, values.reshape(tuple(reversed(tensor.shape.tolist())))
