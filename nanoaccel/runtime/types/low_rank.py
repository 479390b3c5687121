"""What an adapter adds to a matrix."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.runtime.types.plan import Float32Array


@dataclass(frozen=True, slots=True)
class LowRankUpdate:
    """The product of two thin matrices that is added to a large one (LoRA, Hu et al. 2021).

    A linear layer gives ``y = W x``, and with the update ``y = W x + up (down x)``.

    Args:
        down: f32[rank, inputs], PEFT's ``lora_A``.
        up: f32[outputs, rank], PEFT's ``lora_B`` times its scaling.
    """

    down: Float32Array
    up: Float32Array

    @property
    def rank(self) -> int:
        """Rank of the update."""
        return len(self.down)
