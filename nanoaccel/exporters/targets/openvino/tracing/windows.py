"""How far each attention of a model looks back, read from the masks that the model itself makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch

from nanoaccel.errors import UnsupportedModelError

if TYPE_CHECKING:
    from torch import Tensor

# Of transformers: whether a token sees another, by sequence, head, and the places of both.
MaskFunction: TypeAlias = "Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]"
# Or the window itself, 0 for none; None where neither is known.
Mask: TypeAlias = "MaskFunction | int | None"

_LONGEST = 1 << 17  # tokens; a longer window than this is none


def windows_of(masks: Sequence[Mask], context: int) -> list[int] | None:
    """Tokens that each attention looks back at, 0 for all; None where a mask is not known.

    Args:
        masks: One for each attention, in the order of the graph.
        context: Tokens that the model can attend to.

    Raises:
        UnsupportedModelError: A mask is neither causal nor a sliding window.
    """
    known = [mask for mask in masks if mask is not None]
    if not masks or len(known) < len(masks):
        return None
    found = {mask: _window(mask, min(context, _LONGEST)) for mask in set(known)}
    return [found[mask] for mask in known]


def _window(mask: MaskFunction | int, length: int) -> int:
    if isinstance(mask, int):
        return mask
    places = torch.arange(length)
    window = int(_seen(mask, length - 1, places).sum())
    for place in {0, length // 3, length // 2, length - 1}:
        if not torch.equal(
            _seen(mask, place, places), (places <= place) & (places > place - window)
        ):
            raise UnsupportedModelError(
                "its attention is neither causal nor a sliding window", "Use a text decoder"
            )
    return 0 if window == length else window


def _seen(mask: MaskFunction, place: int, places: Tensor) -> Tensor:
    """What a token sees, bool[length]."""
    first = torch.tensor(0)
    return mask(first, first, torch.tensor(place), places).expand(len(places))
