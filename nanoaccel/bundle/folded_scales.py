"""Factors that a compression moved from one matrix of a graph into another.

AWQ (Lin et al. 2023) divides channels of a matrix's input by factors, multiplies its columns with
them, and divides the rows of the matrix in front of it, whose output that input is. The graph
computes what it did; but a change of one of the two matrices that was learned from the original,
such as an adapter, has to be scaled likewise.
"""

from __future__ import annotations

import base64
import json
import mmap
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import BundleDamagedError, ConfigError

# Where graphs say so: of OpenVINO as runtime information, of ONNX as metadata.
RUNTIME_INFO = ["nanoaccel", "folded_scales"]
METADATA = "nanoaccel.folded_scales"


@dataclass(frozen=True, slots=True)
class FoldedScales:
    """What inputs and outputs of a graph's matrices are multiplied with, beside the original's.

    Args:
        inputs: f32 [in] of some modules: the graph's input divided by the original's.
        outputs: f32 [out] of some modules: the graph's output divided by the original's.

    Most factors are 1, so the text is compressed.
    """

    inputs: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    outputs: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def with_more(self, more: FoldedScales) -> FoldedScales:
        """Both, one behind the other.

        >>> half = FoldedScales(outputs={"up": np.full(2, 0.5, np.float32)})
        >>> half.with_more(half).outputs["up"]
        array([0.25, 0.25], dtype=float32)
        """
        return FoldedScales(_times(self.inputs, more.inputs), _times(self.outputs, more.outputs))

    def __str__(self) -> str:
        return json.dumps({"inputs": _written(self.inputs), "outputs": _written(self.outputs)})

    @classmethod
    def parse(cls, text: str) -> FoldedScales:
        """The inverse of ``str``.

        Raises:
            BundleDamagedError: It is something else.
        """
        try:
            given = json.loads(text)
            return cls(_read(given["inputs"]), _read(given["outputs"]))
        except (ValueError, TypeError, KeyError, AttributeError, zlib.error) as error:
            raise BundleDamagedError(
                f"a graph says folded_scales={text[:40]!r}, which are no factors",
                "Export the model again",
            ) from error


def not_told(graph: Path) -> ConfigError:
    """What refuses adapters of a graph that does not say what its compression moved."""
    return ConfigError(
        f"{graph} does not tell what its compression did to matrices, which adapters need",
        "Export the model again",
    )


def check_told(graph: Path) -> None:
    """Raises ``not_told`` unless a graph says it; its file, of either runtime, is not parsed."""
    with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        if text.find(RUNTIME_INFO[-1].encode()) < 0:
            raise not_told(graph)


def _times(
    first: Mapping[str, NDArray[np.float32]], second: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    both = {name: first[name] * second[name] for name in first.keys() & second.keys()}
    return {**first, **second, **both}


def _written(factors: Mapping[str, NDArray[np.float32]]) -> dict[str, str]:
    return {
        name: base64.b64encode(zlib.compress(numbers.astype("<f4").tobytes())).decode()
        for name, numbers in sorted(factors.items())
    }


def _read(given: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    return {
        name: np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), "<f4").astype(
            np.float32
        )
        for name, text in given.items()
    }
