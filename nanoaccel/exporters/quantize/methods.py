"""Methods that choose the numbers of compressed weights; a plugin's is a class like these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nanoaccel.exporters.progress import Tell
from nanoaccel.registry import COMPRESSION_METHODS

if TYPE_CHECKING:
    import openvino as ov
    import torch

    from nanoaccel.exporters.quantize.compression.calibration import Calibration
    from nanoaccel.exporters.quantize.compression.integers.grid import Codes, Grid
    from nanoaccel.exporters.quantize.compression.layers import Layer
    from nanoaccel.exporters.quantize.compression.mapped import MappedTensors
    from nanoaccel.exporters.quantize.recipe import Recipe

_INTEGERS = ("int4", "int8")
_BY_NNCF = ("int4", "nf4", "cb4", "int3", "int2")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionRequest:
    """A graph to compress.

    Args:
        model: With float weights; it may be changed.
        recipe: Type, layout and all methods that were named.
        layers: Layers of the graph.
        storage: The type of each layer: the recipe's, "int8" or "float".
        calibration: The text; None where no method needs it.
        tell: Called with the share of the work that is done.
        tensors: A file for the weights that are made; None keeps them in memory.
    """

    model: ov.Model
    recipe: Recipe
    layers: Sequence[Layer]
    storage: Mapping[str, str]
    calibration: Calibration | None
    tell: Tell
    tensors: MappedTensors | None


class CompressionMethod(Protocol):
    """A method that chooses numbers; ``Rounding`` is what most plugins begin with."""

    @property
    def weights(self) -> Sequence[str]:
        """Types of weights that it can choose numbers for."""
        ...

    @property
    def needs_text(self) -> bool:
        """Whether it reads the calibration text."""
        ...

    @property
    def goes_with(self) -> Sequence[str]:
        """Names of methods that may be named beside it, whose work it then does too."""
        ...

    def compress(self, request: CompressionRequest) -> ov.Model:
        """Compress all layers as ``request.storage`` says.

        Returns:
            The graph, with the inputs and outputs that it had.
        """
        ...


class CompressionMethodFactory(Protocol):
    """What is registered under the name of a method: mostly its class."""

    def __call__(self) -> CompressionMethod:
        """Make the method."""
        ...


class Rounding(ABC):
    """A method that rounds rows to integers of 4 bits; layers of 8 bits are rounded as usual.

    Attributes:
        weights: As in ``CompressionMethod``.
        needs_text: Whether ``round_rows`` is told the mean squares of a layer's inputs.
        goes_with: As in ``CompressionMethod``.
    """

    weights: Sequence[str] = ("int4",)
    needs_text: bool = False
    goes_with: Sequence[str] = ()

    @abstractmethod
    def round_rows(
        self, weight: torch.Tensor, grid: Grid, importance: torch.Tensor | None
    ) -> Codes:
        """Round rows of a matrix; a weight becomes (code - zero point) * scale.

        Args:
            weight: f32[rows, inputs]; the group divides the inputs. Some rows of a layer at a time.
            grid: Bits, group, and whether zero points are all ``grid.middle``.
            importance: Mean squares of the inputs, f32[inputs] or f32[rows, inputs]; None of an
                embedding, and where no text is read.

        Returns:
            Integers u8[rows, groups, group], scales f16[rows, groups, 1] and zero points
            u8[rows, groups, 1], none above ``grid.highest``.
        """

    def compress(self, request: CompressionRequest) -> ov.Model:
        """See ``CompressionMethod``."""
        from nanoaccel.exporters.quantize.compression.integers import round_layers
        from nanoaccel.exporters.quantize.compression.integers.checked import checked_rounding

        round_layers(request, {"int4", "int8"}, checked_rounding(self.round_rows))
        return request.model


class _ByNncf:
    """A method of NNCF, which does several in one pass.

    Attributes:
        weights: As in ``CompressionMethod``.
        needs_text: As there.
        goes_with: As there.
    """

    weights: Sequence[str] = _BY_NNCF
    needs_text = True
    goes_with: Sequence[str] = ()

    def compress(self, request: CompressionRequest) -> ov.Model:
        """See ``CompressionMethod``."""
        from nanoaccel.exporters.quantize.compression.by_nncf import compress_all

        return compress_all(request)


class Awq(_ByNncf):
    """Scales channels up whose inputs are large: https://arxiv.org/abs/2306.00978."""

    goes_with = ("scale-estimation", "gptq", "lora-correction")


class ScaleEstimation(_ByNncf):
    """Searches the scales that change what a layer gives least.

    Alone, integers of 4 bits are chosen by NanoAccel.
    """

    goes_with = ("awq", "gptq", "lora-correction")

    def compress(self, request: CompressionRequest) -> ov.Model:
        """See ``CompressionMethod``."""
        from nanoaccel.exporters.quantize.compression.integers import round_layers

        if request.recipe.weights not in _INTEGERS or len(request.recipe.methods) > 1:
            return super().compress(request)
        round_layers(request, {request.recipe.weights, "int8"})
        return request.model


class Gptq(_ByNncf):
    """Rounds column by column, the others correcting: https://arxiv.org/abs/2210.17323."""

    goes_with = ("awq", "scale-estimation")


class LoraCorrection(_ByNncf):
    """Adds a product of two thin matrices that corrects what rounding did."""

    weights: Sequence[str] = tuple(name for name in _BY_NNCF if name != "cb4")
    goes_with = ("awq", "scale-estimation")


class ByNearest(_ByNncf):
    """What is done where no method is named."""

    needs_text = False

    def compress(self, request: CompressionRequest) -> ov.Model:
        """See ``CompressionMethod``."""
        from nanoaccel.exporters.quantize.compression.integers import round_layers

        if request.recipe.weights not in _INTEGERS:
            return super().compress(request)
        round_layers(request, {request.recipe.weights, "int8"})
        return request.model


def method_of(name: str) -> CompressionMethod:
    """A method by its name.

    Raises:
        ConfigError: There is no such method.
        PluginError: It is a plugin that cannot be used.
    """
    made: CompressionMethod = COMPRESSION_METHODS.make(name)
    return made


def methods_for(weights: str) -> list[str]:
    """Names of the methods that choose numbers of a type; a plugin that fails is switched off."""
    found = []
    for name, _ in COMPRESSION_METHODS.usable():
        with COMPRESSION_METHODS.guard(name):
            if weights in method_of(name).weights:
                found.append(name)
    return found
