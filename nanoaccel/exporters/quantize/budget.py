"""From a recipe's limit of size, and what was measured, to the layers that get more bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nanoaccel.calibration.allocation import Allocation, Choice, allocate, smallest_size
from nanoaccel.calibration.sensitivity import Sensitivity
from nanoaccel.errors import ConfigError
from nanoaccel.exporters.quantize.compression import Layer, group_of, storage_of
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quantize.weight_types import TRAITS

SLACK = 4096  # bytes that compression adds apart from the layers: shapes and the like


@dataclass(frozen=True, slots=True)
class Budget:
    """The units of a model, what they weigh and what they cost.

    Args:
        layers: Layers of the graph.
        sensitivity: Sensitivity of each unit.
        graph_bytes: Bytes of the weights file of the graph with its original weights.
        original_bytes: Bytes of one original weight.
    """

    layers: Sequence[Layer]
    sensitivity: Sequence[Sensitivity]
    graph_bytes: int
    original_bytes: int

    def sensitive(self, recipe: Recipe) -> frozenset[str]:
        """The layers that get the recipe's backup.

        Raises:
            ConfigError: The budget is less than the smallest model that the recipe can make.
        """
        if not recipe.mixed or recipe.limited:
            return frozenset()
        if recipe.share < 1:
            chosen = self._by_share(recipe)
        else:
            chosen = self.within(recipe, self._limit(recipe))
        backup = recipe.backup
        return frozenset(
            name for unit, kind in chosen.chosen.items() if kind == backup for name in _names(unit)
        )

    def within(self, recipe: Recipe, size: int) -> Allocation:
        """The best allocation for a weights file of at most so many bytes.

        Raises:
            ConfigError: The smallest one is larger.
        """
        units = self._units(recipe)
        fixed = self._fixed(recipe, units)
        try:
            found = allocate(units, size - fixed)
        except ValueError as error:
            least = fixed + smallest_size(units)
            raise ConfigError(
                f"a weights file of {size / 1e6:.1f} MB is impossible with {recipe.weights}",
                f"The smallest is {least / 1e6:.1f} MB ({least * 8 / self.parameters:.2f} bits "
                "a weight)",
            ) from error
        return Allocation(found.chosen, found.size + fixed, found.loss)

    def range(self, recipe: Recipe) -> tuple[int, int]:
        """Bytes of the smallest and of the largest weights file that a recipe can make."""
        units = self._units(recipe)
        fixed = self._fixed(recipe, units)
        largest = sum(max(choice.size for choice in choices) for choices in units.values())
        return fixed + smallest_size(units), fixed + largest

    @property
    def parameters(self) -> int:
        """Weights of all layers."""
        return sum(layer.parameters for layer in self.layers)

    def _limit(self, recipe: Recipe) -> int:
        if recipe.target_size is not None:
            return recipe.target_size
        assert recipe.target_bits is not None, "a mixed recipe has a limit"
        return int(recipe.target_bits * self.parameters / 8)

    def _by_share(self, recipe: Recipe) -> Allocation:
        """Units whose weights may be of the backup's type, sizes counted in weights."""
        units = {
            unit: [Choice(small.name, 0, small.loss), Choice(large.name, weights, large.loss)]
            for unit, (small, large) in self._units(recipe).items()
            for weights in [sum(self._named[name].parameters for name in _names(unit))]
        }
        total = sum(choices[1].size for choices in units.values())
        return allocate(units, int((1 - recipe.share) * total))

    def _units(self, recipe: Recipe) -> Mapping[str, tuple[Choice, Choice]]:
        """What each unit may become: the recipe's type, or its backup."""
        plain = storage_of(self.layers, recipe)
        named = self._named
        units = {}
        for unit in self.sensitivity:
            names = [name for name in unit.layers if plain.get(name) == recipe.weights]
            if not names:
                continue
            layers = [named[name] for name in names]
            units[" ".join(names)] = (
                Choice(recipe.weights, self._size(layers, recipe.weights, recipe), unit.kl),
                Choice(recipe.backup, self._size(layers, recipe.backup, recipe), unit.kl_backup),
            )
        return units

    def _fixed(self, recipe: Recipe, units: Mapping[str, object]) -> int:
        """Bytes of all that is in no unit."""
        free = {name for unit in units for name in _names(unit)}
        plain = storage_of(self.layers, recipe)
        rest = [layer for layer in self.layers if layer.name not in free]
        other = self.graph_bytes - self.parameters * self.original_bytes + SLACK
        return other + sum(self._size([layer], plain[layer.name], recipe) for layer in rest)

    def _size(self, layers: Sequence[Layer], kind: str, recipe: Recipe) -> int:
        return sum(self._layer_size(layer, kind, recipe) for layer in layers)

    def _layer_size(self, layer: Layer, kind: str, recipe: Recipe) -> int:
        if kind == "float":
            return layer.parameters * self.original_bytes
        group = (group_of(layer, recipe) or -1) if kind == recipe.weights else -1
        bits = TRAITS[kind].bits_with_scales(group, recipe.symmetric)
        size = int(layer.parameters * bits / 8)
        if group == -1:  # a scale of 16 bits a row, and a zero point
            zero_point = 0 if recipe.symmetric or not TRAITS[kind].asymmetric else 1
            size += layer.rows * (2 + zero_point)
        return size

    @property
    def _named(self) -> Mapping[str, Layer]:
        return {layer.name: layer for layer in self.layers}


def _names(unit: str) -> list[str]:
    return unit.split(" ")
