"""How the weights are stored: a checked description that the bundle keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from nanoaccel.errors import ConfigError

WeightType: TypeAlias = Literal["f32", "f16", "bf16", "int8", "int4"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Weight type and layout.

    Args:
        weights: Type of the projection matrices. With int4, the embedding and the last projection
            are int8, which costs little size and saves much accuracy.
        symmetric: With int8 and int4, whether integers are centered on zero. Symmetric is faster
            on CPUs, asymmetric a little more accurate.
        group_size: With int4, weights along the input that share a scale; -1 is a whole row. Where
            it does not divide a layer, the largest power of two from 16 up that does is taken, and
            int8 where there is none.

    Raises:
        ConfigError: A value is out of range.
    """

    weights: WeightType = "int4"
    symmetric: bool = True
    group_size: int = 64

    def __post_init__(self) -> None:
        if self.weights not in get_args(WeightType):
            raise ConfigError(
                f"weights={self.weights!r} is unknown",
                f"Choose one of {', '.join(get_args(WeightType))}",
            )
        if self.group_size != -1 and (self.group_size < 16 or self.group_size % 16 != 0):
            raise ConfigError(
                f"group_size={self.group_size} is not a multiple of 16",
                "Choose 32, 64 or 128, or -1 for one scale a row",
            )

    @property
    def compressed(self) -> bool:
        """Whether weights become integers."""
        return self.weights in ("int8", "int4")

    def bytes_for(self, parameters: int) -> int:
        """About the size of a weights file; scales and an int8 embedding counted."""
        bits = {"f32": 32, "f16": 16, "bf16": 16, "int8": 8.5, "int4": 6}[self.weights]
        return int(parameters * bits / 8)

    def describe(self) -> str:
        """The recipe in a few words."""
        if not self.compressed:
            return self.weights
        scheme = "symmetric" if self.symmetric else "asymmetric"
        groups = "a row" if self.group_size == -1 else f"{self.group_size} weights"
        return f"{self.weights} {scheme}" + (f", scale for {groups}" * (self.weights == "int4"))
