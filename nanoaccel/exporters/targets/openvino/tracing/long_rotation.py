"""LongRoPE in a traced graph: each token is rotated by the factors of its own text.

transformers chooses factors by the longest text of a pass. A graph that serves texts of all
lengths at once is told by positions which of them are long (``bundle.long_factors``). Where it is
not told, as by other programs, it chooses as transformers does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from nanoaccel.bundle.attention import long_border
from nanoaccel.bundle.long_factors import LongFactors
from nanoaccel.errors import UnsupportedModelError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_KIND = "longrope"


@contextmanager
def told_by_positions(model: PreTrainedModel, context: int) -> Iterator[LongFactors | None]:
    """While it lasts, a model is told by positions which texts are long.

    Args:
        model: The model.
        context: Tokens that it can attend to.

    Yields:
        How it is told; None where all texts are rotated alike.

    Raises:
        UnsupportedModelError: It has such factors, and code of its own that chooses them.
    """
    border = long_border(model.config.get_text_config().to_dict())
    if border is None or border >= context:
        yield None
        return
    rotations = [
        _Rotation(module, LongFactors(border, context))
        for module in model.modules()
        if _KIND in _kinds(module).values() and hasattr(type(module).forward, "__wrapped__")
    ]
    if not rotations:
        raise UnsupportedModelError(
            "its LongRoPE factors are chosen by code of its own",
            "Use a model of another architecture",
        )
    for rotation in rotations:
        rotation.module.forward = rotation
    try:
        yield rotations[0].factors
    finally:
        for rotation in rotations:
            del rotation.module.forward


def _kinds(module: Any) -> Mapping[str | None, str]:
    """How a module rotates, by kind of layer; empty for one that does not."""
    found = getattr(module, "rope_type", None)
    if found is None or isinstance(found, dict):
        return found or {}
    return {None: found}


class _Rotation:
    """The forward pass of a rotary embedding.

    Args:
        module: The embedding.
        factors: How it is told which texts are long.
    """

    def __init__(self, module: Any, factors: LongFactors) -> None:
        self.module, self.factors = module, factors
        self._both = {
            layer: [_frequencies(module, length, layer) for length in _either_side(factors)]
            for layer, kind in _kinds(module).items()
            if kind == _KIND
        }

    def __call__(
        self, x: Tensor, position_ids: Tensor, layer_type: str | None = None
    ) -> tuple[Tensor, ...]:
        """Cosines and sines [B, T, D] of positions [B, T]."""
        forward = type(self.module).forward.__wrapped__
        by_layer = {} if layer_type is None else {"layer_type": layer_type}
        told = position_ids >= self.factors.offset
        places = torch.where(told, position_ids - self.factors.offset, position_ids)
        if layer_type not in self._both:
            return tuple(forward(self.module, x, places, **by_layer))
        others = torch.where(told, torch.zeros_like(position_ids), position_ids)
        long = (told | (others.max() >= self.factors.border))[..., None]
        name = "inv_freq" if layer_type is None else f"{layer_type}_inv_freq"
        short, longer = (
            forward(_With(self.module, {name: found}), x, places, **by_layer)
            for found in self._both[layer_type]
        )
        return tuple(torch.where(long, b, a) for a, b in zip(short, longer, strict=True))


def _either_side(factors: LongFactors) -> tuple[int, int]:
    return factors.border, factors.border + 1


def _frequencies(module: Any, length: int, layer_type: str | None) -> Tensor:
    """Frequencies f32[D / 2] for texts of a length."""
    find = ROPE_INIT_FUNCTIONS[_KIND]
    found, _ = find(module.config, None, seq_len=length, layer_type=layer_type)
    return found


class _With:
    """A module with some other attributes.

    Args:
        module: The module.
        others: By their names.
    """

    def __init__(self, module: Any, others: Mapping[str, Tensor]) -> None:
        self._module, self._others = module, others

    def __getattr__(self, name: str) -> Any:
        return self._others[name] if name in self._others else getattr(self._module, name)
