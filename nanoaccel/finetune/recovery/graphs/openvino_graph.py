"""An OpenVINO graph: which constants are a matrix, and where they lie in its .bin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import ExportError, UnsupportedModelError
from nanoaccel.exporters.targets.onnx.stored import StoredWeight
from nanoaccel.exporters.targets.onnx.weights import is_matrix, modules_of, read_weights
from nanoaccel.exporters.targets.openvino.runner import GraphRunner
from nanoaccel.finetune.recovery.graphs.patches import Patch, Place, only_once, patch_of
from nanoaccel.finetune.recovery.graphs.stored_graph import StoredGraph
from nanoaccel.openvino_core import openvino_core

if TYPE_CHECKING:
    import openvino as ov


@dataclass(frozen=True, slots=True)
class _Constants:
    """The constants of a matrix, by their names.

    Args:
        modules: Those whose rows lie in it, one behind the other.
        scales: Always there.
        zeros: None without zero points, or where all groups have the same one.
    """

    modules: tuple[str, ...]
    scales: str
    zeros: str | None


class OpenVINOGraph(StoredGraph):
    """A graph for OpenVINO.

    Args:
        path: Its xml file.

    Raises:
        UnsupportedModelError: Its weights are stored in a way that is not read.
    """

    runtime: ClassVar[str] = "openvino"

    def __init__(self, path: Path) -> None:
        self.path = path
        model = openvino_core().read_model(path)
        try:
            found = read_weights(model)
        except ExportError as error:
            raise UnsupportedModelError(
                error.problem, "Recovery learns int4: export with --weights int4"
            ) from error
        self.weights = {**found.embeddings, **found.products}
        self._constants = [
            constants
            for node in model.get_ordered_ops()
            if node.get_type_name() == "MatMul"
            and is_matrix(node.input_value(1))
            and (constants := _constants_of(node)) is not None
        ]
        self._places = only_once(places_in(path))

    @property
    def data(self) -> Path:
        return self.path.with_suffix(".bin")

    def at(self, path: Path) -> OpenVINOGraph:
        return OpenVINOGraph(path)

    def patches(self, changed: Mapping[str, StoredWeight]) -> Iterator[Patch]:
        for constants in self._constants:
            parts = [changed.get(module) for module in constants.modules]
            if all(part is None for part in parts):
                continue
            whole = [
                self.weights[module] if part is None else part
                for module, part in zip(constants.modules, parts, strict=True)
            ]
            name = "+".join(constants.modules)
            scales = [part.scales for part in whole if part.scales is not None]
            yield patch_of(self._place(constants.scales, name), np.concatenate(scales), name)
            zeros = [part.zero_points for part in whole if part.zero_points is not None]
            if constants.zeros is not None and zeros:
                packed = _packed(np.concatenate(zeros))
                yield patch_of(self._place(constants.zeros, name), packed, name)

    def load(self) -> GraphRunner:
        return GraphRunner(self.path)

    def _place(self, constant: str, name: str) -> Place:
        if constant not in self._places:
            raise UnsupportedModelError(
                f"{name} shares its numbers with another matrix in {self.data}",
                "Export the model again, and recover that bundle",
            )
        return self._places[constant]


def places_in(graph: Path) -> dict[str, Place]:
    """Where the constants of a graph lie in its .bin, by their names."""
    found = {}
    for layer in ElementTree.parse(graph).iter("layer"):
        if layer.get("type") == "Const":
            (data,) = layer.iter("data")
            place = Place(int(data.attrib["offset"]), int(data.attrib["size"]))
            found[layer.attrib["name"]] = place
    return found


def _constants_of(node: ov.Node) -> _Constants | None:
    """The constants of a product's matrix; None where it has no scales."""
    scaled = node.input_value(1).get_node()
    while scaled.get_type_name() in ("Convert", "Reshape"):
        scaled = scaled.input_value(0).get_node()
    if scaled.get_type_name() != "Multiply":
        return None
    zeros: str | None = None
    shifted = scaled.input_value(0).get_node()
    while shifted.get_type_name() in ("Convert", "Reshape"):
        shifted = shifted.input_value(0).get_node()
    scales = _constant(scaled.input_value(1))
    if shifted.get_type_name() == "Subtract":
        middle = _constant(shifted.input_value(1))
        if _count(middle) == _count(scales):
            zeros = str(middle.get_friendly_name())
    return _Constants(
        tuple(modules_of(node)),
        str(scales.get_friendly_name()),
        zeros,
    )


def _constant(value: ov.Output) -> ov.Node:
    node = value.get_node()
    return node if node.get_type_name() == "Constant" else _constant(node.input_value(0))


def _count(constant: ov.Node) -> int:
    return int(np.prod(list(constant.get_output_shape(0))))


def _packed(zeros: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Zero points of 4 bits, two in a byte, the earlier one in the lower half."""
    flat = zeros.ravel()
    flat = np.pad(flat, (0, flat.size % 2))
    packed: NDArray[np.uint8] = flat[::2] | flat[1::2] << np.uint8(4)
    return packed
