"""The interface of a graph whose stored matrices are read, and written over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.targets.onnx.stored import StoredWeight
from nanoaccel.finetune.recovery.graphs.patches import Patch, apply

_BITS = 4
_EIGHT = 8


class Runner(Protocol):
    """Runs a graph without rounding activations."""

    def logits(self, token_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits f32[T, V] over a sequence i64[T]."""


class StoredGraph(ABC):
    """A graph of a bundle.

    Attributes:
        runtime: Name of the backend that runs it.
        path: Its file.
        weights: Compressed matrices by module; a tied one stands under each of its names.
    """

    runtime: ClassVar[str]
    path: Path
    weights: Mapping[str, StoredWeight]
    _runner: Runner | None = None

    @property
    @abstractmethod
    def data(self) -> Path:
        """The file of its numbers."""

    @abstractmethod
    def at(self, path: Path) -> StoredGraph:
        """The same graph in another folder."""

    @abstractmethod
    def patches(self, changed: Mapping[str, StoredWeight]) -> Iterator[Patch]:
        """Patches of ``data`` that store other scales and zero points.

        Args:
            changed: Matrices by module, in the form that they were read in.
        """

    @abstractmethod
    def load(self) -> Runner:
        """Load the graph to run it."""

    def logits(self, token_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits f32[T, V] over a sequence i64[T]; the graph is loaded at the first time."""
        if self._runner is None:
            self._runner = self.load()
        return self._runner.logits(token_ids)

    def unload(self) -> None:
        """Free what ``logits`` loaded."""
        self._runner = None

    def write(self, folder: Path, bundle: Path, changed: Mapping[str, StoredWeight]) -> None:
        """Store other matrices in a copy of the bundle.

        Args:
            folder: Folder of the copy.
            bundle: Folder of the bundle.
            changed: Matrices by module.
        """
        apply(folder / self.data.relative_to(bundle), self.patches(changed))

    def learnable(self) -> dict[str, StoredWeight]:
        """The matrices of 4-bit integers, by module.

        Raises:
            UnsupportedModelError: There is none.
        """
        found = {
            name: weight
            for name, weight in self.weights.items()
            if weight.bits == _BITS and weight.scales is not None and not weight.nf4
        }
        if not found:
            kinds = sorted({_kind(weight) for weight in self.weights.values()})
            instead = f", but in {', '.join(kinds)}" if kinds else ""
            raise UnsupportedModelError(
                f"{self.path} stores no matrix in 4-bit integers{instead}",
                "Recovery learns scales and zero points of int4; export with --weights int4",
            )
        return found


def _kind(weight: StoredWeight) -> str:
    if weight.nf4:
        return "nf4"
    return f"{_EIGHT}-bit integers" if weight.bits == _EIGHT else "floats"
