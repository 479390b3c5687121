"""What weights can be stored as, and what each type can and cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

WeightType: TypeAlias = Literal[
    "f32", "f16", "bf16", "int8", "fp8", "mxfp8",
    "int4", "nf4", "fp4", "mxfp4", "nvfp4", "cb4", "int3", "int2",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a type of weights is.

    Args:
        bits: Bits of a number, without scales.
        scale_bits: Bits of the scale that a group shares.
        group_size: The one that it must have; None leaves the choice, -1 is a whole row.
        asymmetric: Whether integers may be stored with a zero point.
        expanded: Whether the runtime turns it into a wider type in memory, so that it saves disk
            and no memory.
    """

    bits: float
    scale_bits: int = 16
    group_size: int | None = None
    asymmetric: bool = False
    expanded: bool = False

    def bits_with_scales(self, group_size: int, symmetric: bool) -> float:
        """Bits of a number, with its share of the scale and of the zero point."""
        if group_size == -1:
            return self.bits
        zero_point = 0.0 if symmetric or not self.asymmetric else self.bits
        return self.bits + (self.scale_bits + zero_point) / group_size


TRAITS: Mapping[str, Traits] = {
    "f32": Traits(bits=32, group_size=-1),
    "f16": Traits(bits=16, group_size=-1),
    "bf16": Traits(bits=16, group_size=-1),
    "int8": Traits(bits=8, group_size=-1, asymmetric=True),
    "fp8": Traits(bits=8, expanded=True),
    "mxfp8": Traits(bits=8, scale_bits=8, group_size=32, expanded=True),
    "int4": Traits(bits=4, asymmetric=True),
    "nf4": Traits(bits=4),
    "fp4": Traits(bits=4),
    "mxfp4": Traits(bits=4, scale_bits=8, group_size=32),
    "nvfp4": Traits(bits=4, scale_bits=8, group_size=16),
    "cb4": Traits(bits=4, group_size=-1, expanded=True),
    "int3": Traits(bits=3, expanded=True),
    "int2": Traits(bits=2),
}
FLOATS = ("f32", "f16", "bf16")
