"""What adapters change of one matrix, alone and together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from nanoaccel.adapters.folder import LowRank
from nanoaccel.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

How: TypeAlias = Literal["linear", "ties", "dare_linear", "dare_ties"]
_HOWS: tuple[How, ...] = ("linear", "ties", "dare_linear", "dare_ties")


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOptions:
    """How several adapters become one change.

    Args:
        weights: Of each adapter.
        how: "linear" is the weighted sum. "ties" keeps the largest numbers of each and, where signs
            differ, those of the heavier sign (arXiv 2306.01708). "dare_linear" and "dare_ties" keep
            numbers by chance and make them larger instead (arXiv 2311.03099). As peft has them,
            over whole changes instead of their factors, so ranks may differ.
        density: Share of the numbers that is kept.
        seed: Seed of what chance keeps.

    Raises:
        ConfigError: A value is out of range.
    """

    weights: tuple[float, ...] = (1.0,)
    how: How = "linear"
    density: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.how not in _HOWS:
            raise ConfigError(f"how={self.how!r} is unknown", f"Choose {', '.join(_HOWS)}")
        if not 0 < self.density <= 1:
            raise ConfigError(f"density={self.density} is out of range", "Give above 0 to 1")


def delta(weight: Tensor, low: LowRank) -> Tensor:
    """What an adapter adds to a matrix, f32[O, I].

    Args:
        weight: [O, I], the base's.
        low: The adapter's part for it.
    """
    import torch

    product = low.scale * (torch.from_numpy(low.b) @ torch.from_numpy(low.a))
    if low.magnitude is None:
        return product
    # DoRA: the rows of the sum have lengths of their own (arXiv 2402.09353).
    base = weight.float()
    whole = base + product
    lengths = torch.from_numpy(low.magnitude)
    return whole * (lengths / whole.norm(dim=1))[:, None] - base


def combine(deltas: Sequence[Tensor], weights: Sequence[float], options: MergeOptions) -> Tensor:
    """One change of several.

    Args:
        deltas: f32[O, I] each.
        weights: Of each.
        options: How.
    """
    import torch
    from peft.utils import merge_utils

    scaled = torch.tensor(list(weights))
    if options.how == "linear":
        return torch.stack([w * one for w, one in zip(weights, deltas, strict=True)]).sum(0)
    ways: dict[str, Callable[..., Tensor]] = {
        "ties": merge_utils.ties,
        "dare_linear": merge_utils.dare_linear,
        "dare_ties": merge_utils.dare_ties,
    }
    return ways[options.how](list(deltas), scaled, options.density)
