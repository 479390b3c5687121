"""Layers of a cache that carry a state: of a convolution, of a recurrence, or of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import cache_utils
from transformers.cache_utils import DynamicCache, DynamicLayer, LinearAttentionLayer

if TYPE_CHECKING:
    from torch import Tensor

# transformers 5.23 has a layer for what holds nothing; before, that was an ordinary one.
_EmptyLayer: Any = getattr(cache_utils, "DummyLayer", DynamicLayer)


class StateCache(DynamicCache):  # type: ignore[misc]
    """A cache that notes the recurrent state that was asked for last."""

    asked: Tensor | None = None

    def get_recurrent_state(self, layer_idx: int, state_idx: int = 0) -> Tensor | None:
        """The state of a layer; None where there is none yet."""
        self.asked = super().get_recurrent_state(layer_idx, state_idx)
        return self.asked


class StateLayer(LinearAttentionLayer):  # type: ignore[misc]
    """States that a graph gives, and that are replaced, not written to.

    Args:
        fields: Values by ``CachedTensor.field``.
    """

    def __init__(self, fields: dict[str, Tensor]) -> None:
        super().__init__()
        for field, states, known in (
            ("conv_states", self.conv_states, self.is_conv_states_initialized),
            ("recurrent_states", self.recurrent_states, self.is_recurrent_states_initialized),
        ):
            if field in fields:
                states[0], known[0] = fields[field], True
        self.has_previous_state[0] = True

    def update_conv_state(self, conv_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """Go on with more tokens; those kept and the new ones."""
        before = self.conv_states[0]
        both = torch.cat([before, conv_states], dim=-1)
        self.conv_states[0] = both[:, :, -before.shape[-1] :]
        return both

    def update_recurrent_state(self, recurrent_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """Go on with another state."""
        self.recurrent_states[0] = recurrent_states
        return recurrent_states


class KeyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of all tokens.

    Args:
        fields: Values by ``CachedTensor.field``.
    """

    def __init__(self, fields: dict[str, Tensor]) -> None:
        super().__init__()
        self.keys, self.values = fields["keys"], fields["values"]
        self.dtype, self.device, self.is_initialized = self.keys.dtype, self.keys.device, True


class ExpandedLayer(KeyLayer):
    """Keys and values as attention reads them, where the model keeps what they are made from.

    Multi-head latent attention (DeepSeek-AI 2024) keeps latent states of all tokens, and makes keys
    and values of them again for each pass. Here those of new tokens are made, and kept.

    Args:
        fields: Values by ``CachedTensor.field``.
    """

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """The latent states of new tokens, as they are."""
        return key_states, value_states

    def join(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Go on with keys and values of new tokens; those kept and the new ones."""
        self.keys = torch.cat([self.keys, keys], dim=-2)
        self.values = torch.cat([self.values, values], dim=-2)
        return self.keys, self.values


class KeyAndStateLayer(StateLayer, KeyLayer):
    """A layer whose attention and recurrence stand side by side.

    Args:
        fields: Values by ``CachedTensor.field``.
    """

    def __init__(self, fields: dict[str, Tensor]) -> None:
        KeyLayer.__init__(self, fields)
        StateLayer.__init__(self, fields)


def layer_of(fields: dict[str, Tensor], *, expanded: bool) -> Any:
    """A layer that holds some values; one of a cache that holds nothing when there are none.

    Args:
        fields: Values by ``CachedTensor.field``.
        expanded: Whether keys and values are those that attention reads, not those of the model.
    """
    if not fields:
        return _EmptyLayer()
    if expanded:
        return ExpandedLayer(fields)
    if "keys" not in fields:
        return StateLayer(fields)
    return KeyLayer(fields) if len(fields) == len(("keys", "values")) else KeyAndStateLayer(fields)
