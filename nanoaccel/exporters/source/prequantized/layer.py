"""The stored tensors of one quantized projection, with every shape checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import SourceError
from nanoaccel.exporters.source.prequantized.packed import Dense, PackedWeight

if TYPE_CHECKING:
    from torch import Tensor

    from nanoaccel.exporters.source.prequantized.checkpoint import Checkpoint

Weight: TypeAlias = PackedWeight | Dense


@dataclass(frozen=True, slots=True)
class Layer:
    """One projection.

    Args:
        name: Name of its module.
        tensors: Tensors by what follows the module's name ("qweight", "scales", ...).
    """

    name: str
    tensors: Mapping[str, Tensor]

    def __contains__(self, part: str) -> bool:
        return part in self.tensors

    def tensor(self, part: str, kind: str | None = None) -> Tensor:
        """A tensor, of a torch type ("int32") when that is given.

        Raises:
            SourceError: It is missing, or of another type.
        """
        if part not in self.tensors:
            raise SourceError(
                f"The checkpoint has no {self.name}.{part}", "Download the whole model again"
            )
        found = self.tensors[part]
        if kind is not None and str(found.dtype) != f"torch.{kind}":
            raise self.odd(part, f"type {kind}")
        return found

    def words(self, part: str) -> NDArray[np.int32]:
        """A matrix of 32-bit words into which smaller integers are packed.

        Raises:
            SourceError: It is missing or no such matrix.
        """
        found = self.tensor(part, "int32")
        if found.ndim != 2:
            raise self.odd(part, "two axes")
        words: NDArray[np.int32] = found.numpy()
        return words

    def scales(self, part: str, shape: tuple[int, ...] | None = None) -> NDArray[np.floating[Any]]:
        """Scales, as f16 if that holds them exactly, else as f32.

        Raises:
            SourceError: They are missing, of another shape, or not all finite.
        """
        found = self.tensor(part)
        if shape is not None and tuple(found.shape) != shape:
            raise self.odd(part, f"shape {list(shape)}")
        full: NDArray[np.float32] = found.float().numpy()
        if not np.isfinite(full).all():
            raise SourceError(
                f"{self.name} has scales that are not finite ({part})",
                "The checkpoint is damaged; download it again, or use another one",
            )
        with np.errstate(over="ignore", under="ignore"):
            half = full.astype(np.float16)
        return half if np.array_equal(half.astype(np.float32), full) else full

    def odd(self, part: str, expected: str) -> SourceError:
        """The error to raise for a tensor that does not fit the others."""
        found = self.tensors[part]
        kind = str(found.dtype).removeprefix("torch.")
        return SourceError(
            f"{self.name}.{part} is {kind} {list(found.shape)}; expected {expected}",
            "Check that config.json belongs to these weights, or download them again",
        )


@dataclass(frozen=True, slots=True)
class Format:
    """How one tool stores a projection.

    Args:
        parts: Names of tensors that only a quantized projection has.
        decode: From its tensors to its weight, [out, in].
    """

    parts: frozenset[str]
    decode: Callable[[Layer, Checkpoint], Weight]


def unpack(words: NDArray[np.int32], bits: int) -> NDArray[np.uint8]:
    """Split the words of the last axis into the integers that they hold, lowest bits first.

    Args:
        words: [..., n].
        bits: Bits of an integer: 2, 4 or 8.

    Returns:
        u8 [..., n * 32 / bits].
    """
    octets = np.ascontiguousarray(words, "<i4").view(np.uint8)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    integers: NDArray[np.uint8] = octets[..., None] >> shifts & np.uint8((1 << bits) - 1)
    return integers.reshape(*words.shape[:-1], -1)
