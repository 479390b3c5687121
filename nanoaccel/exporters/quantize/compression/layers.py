"""The matrices of a graph that can be compressed, by the names that they have in the model."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, TypeAlias

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.quantize.recipe import Recipe

if TYPE_CHECKING:
    import openvino as ov

Kind: TypeAlias = Literal["projection", "embedding", "last"]

_MODULE = re.compile(r"__module\.([^/]+)/")
SMALLEST_GROUP = 16
_FLOATS = ("f32", "f16", "bf16")


@dataclass(frozen=True, slots=True)
class Layer:
    """A matrix, or those of all experts of a layer.

    Args:
        name: Name of the module in the original model, such as ``model.layers.0.mlp.down_proj``; of
            experts that of their weights, such as ``model.layers.0.mlp.experts.down_proj``.
        kind: What it is used for; a last projection that is the embedding too is "last".
        operations: Names of the operations that read it.
        outputs: Rows of a matrix.
        inputs: Columns, along which groups go.
        matrices: How many there are, one of each expert.
    """

    name: str
    kind: Kind
    operations: tuple[str, ...]
    outputs: int
    inputs: int
    matrices: int = 1

    @property
    def rows(self) -> int:
        """Rows of all matrices."""
        return self.matrices * self.outputs

    @property
    def parameters(self) -> int:
        """Weights."""
        return self.rows * self.inputs


def find_layers(model: ov.Model) -> list[Layer]:
    """The float matrices of a graph that products and embeddings read, in the graph's order.

    Matrices of experts, one behind the other, are one layer.

    The last product that has a row for each token of the vocabulary is the last projection; in a
    graph without logits none is.
    """
    found = []
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or len(node.get_output_shape(0)) not in (2, 3):
            continue
        readers = _readers(node)
        if node.get_output_element_type(0).get_type_name() in _FLOATS and readers:
            found.append(_layer(node, readers))
    size = _vocabulary(model)
    for index, layer in reversed(list(enumerate(found))):
        if layer.kind == "projection" and layer.outputs == size:
            found[index] = replace(layer, kind="last")
            break
    return _named_apart(found)


def storage_of(
    layers: Sequence[Layer], recipe: Recipe, kept: frozenset[str] = frozenset()
) -> dict[str, str]:
    """The type of each layer: the recipe's, "int8" or "float".

    Args:
        layers: Layers of the graph.
        recipe: Recipe that says what they become.
        kept: Projections that get the recipe's backup, as they are too sensitive.

    Raises:
        ConfigError: A pattern matches no layer, or the group size does not divide one and the
            recipe calls that an error.
    """
    if not recipe.compressed:
        return {layer.name: "float" for layer in layers}
    ends = {"embedding": recipe.embeddings, "last": recipe.last_layer}
    storage: dict[str, str] = {}
    for layer in layers:
        if layer.kind == "projection":
            storage[layer.name] = recipe.backup if layer.name in kept else recipe.weights
        else:
            end = ends[layer.kind]
            storage[layer.name] = recipe.weights if end == "same" else end
    for override in recipe.overrides:
        names = [name for name in storage if fnmatchcase(name, override.layers)]
        if not names:
            raise ConfigError(
                f"the recipe's layers={override.layers!r} match no layer of the model",
                _closest(override.layers, list(storage)),
            )
        storage.update(dict.fromkeys(names, override.weights))
    return {layer.name: _fitting(layer, storage[layer.name], recipe) for layer in layers}


def group_of(layer: Layer, recipe: Recipe) -> int | None:
    """Weights that share a scale in a layer of the recipe's type; -1 a row, None when none fits.

    Where the recipe's does not divide the inputs, it is the largest power of two that does.
    """
    if recipe.group == -1 or layer.inputs % recipe.group == 0:
        return recipe.group
    if recipe.fallback != "smaller" or recipe.traits.group_size is not None:
        return None
    group = layer.inputs & -layer.inputs
    return group if SMALLEST_GROUP <= group < recipe.group else None


def _fitting(layer: Layer, kind: str, recipe: Recipe) -> str:
    """The type of a layer, or the backup where no group fits."""
    if kind != recipe.weights or group_of(layer, recipe) is not None:
        return kind
    if recipe.fallback == "error":
        raise ConfigError(
            f"group_size={recipe.group} does not divide the {layer.inputs} inputs of {layer.name}",
            'Choose one that does, or fallback "smaller" or "backup"',
        )
    return recipe.backup


def _readers(node: ov.Node) -> list[ov.Node]:
    """Products and embeddings that read a constant, directly or through a conversion."""
    found = []
    for target in node.output(0).get_target_inputs():
        reader = target.get_node()
        kind = reader.get_type_name()
        if kind == "Convert":
            found += _readers(reader)
        elif (kind == "MatMul" and target.get_index() == 1) or (
            kind == "Gather" and target.get_index() == 0
        ):
            found.append(reader)
    return found


def _layer(node: ov.Node, readers: Sequence[ov.Node]) -> Layer:
    """A matrix; which projection is the last is found later."""
    products = [reader for reader in readers if reader.get_type_name() == "MatMul"]
    *matrices, rows, columns = node.get_output_shape(0)
    reader = products[0] if products else readers[0]
    if products and not reader.get_attributes()["transpose_b"]:
        rows, columns = columns, rows
    match = _MODULE.search(reader.get_friendly_name())
    return Layer(
        name=reader.get_friendly_name() if match is None else match[1],
        kind="projection" if products else "embedding",
        operations=tuple(reader.get_friendly_name() for reader in readers),
        outputs=rows,
        inputs=columns,
        matrices=math.prod(matrices),
    )


def _vocabulary(model: ov.Model) -> int | None:
    """Tokens that the graph gives logits for; None when it gives none."""
    for output in model.outputs:
        if "logits" in output.get_names():
            last = output.get_partial_shape()[-1]
            return int(last.get_length()) if last.is_static else None
    return None


def _named_apart(layers: Sequence[Layer]) -> list[Layer]:
    """Layers of which no two have one name: several in a module get their operations' names."""
    counts = Counter(layer.name for layer in layers)
    return [
        layer if counts[layer.name] == 1 else replace(layer, name=layer.operations[0])
        for layer in layers
    ]


def _closest(pattern: str, names: list[str]) -> str:
    """A remedy: the name most like a pattern."""
    close = get_close_matches(pattern, names, n=1, cutoff=0.0)
    return f"The closest is {close[0]!r}" if close else "The model has no layers to choose from"
