"""A language model in two halves: its decoder, and what makes logits of the decoder's states."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nanoaccel.errors import UnsupportedModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Halves:
    """Runs the halves of a model one at a time.

    The second half is the model itself around a decoder that gives back the states it is given, so
    whatever a model does to its logits (scales, soft caps) is done.

    Args:
        model: A causal language model.

    Raises:
        UnsupportedModelError: The model is not made of these halves.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._name = model.base_model_prefix
        self._given = _Given()
        if getattr(model, self._name, None) is None:
            raise UnsupportedModelError(
                f"{type(model).__name__} is not made of a decoder and a head",
                "Choose another model to train",
            )

    def states(self, ids: Tensor, **inputs: Any) -> Tensor:
        """[B, T, H], the decoder's states behind its last norm."""
        decoder = getattr(self._model, self._name)
        found: Tensor = decoder(input_ids=ids, use_cache=False, **inputs)[0]
        return found

    def logits(self, states: Tensor) -> Tensor:
        """[N, V] for states [N, H]."""
        decoder = getattr(self._model, self._name)
        setattr(self._model, self._name, self._given)
        try:
            found: Tensor = self._model(inputs_embeds=states[None], use_cache=False).logits[0]
        finally:
            setattr(self._model, self._name, decoder)
        return found

    def check(self) -> None:
        """Compare the halves with the whole over a few tokens.

        Raises:
            UnsupportedModelError: They say something else.
        """
        ids = torch.arange(2, 8)[None]
        with torch.no_grad():
            whole = self._model(input_ids=ids, use_cache=False).logits[0]
            try:
                halves = self.logits(self.states(ids)[0])
            except (TypeError, AttributeError) as error:
                raise self._differs() from error
        if not torch.allclose(whole.float(), halves.float(), rtol=0.02, atol=0.02):
            raise self._differs()

    def _differs(self) -> UnsupportedModelError:
        return UnsupportedModelError(
            f"the head of {type(self._model).__name__} cannot be run apart from its decoder",
            "Choose another model to train",
        )


class _Given(nn.Module):  # type: ignore[misc]
    """In a decoder's place: its states are the inputs."""

    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any) -> Any:
        return _output_class()(last_hidden_state=inputs_embeds)


@cache
def _output_class() -> type[Any]:
    """What decoders give, with the fields of all kinds that heads look at."""
    from transformers.modeling_outputs import MoeModelOutputWithPast

    base: Any = MoeModelOutputWithPast

    @dataclass
    class Output(base):  # type: ignore[misc]
        cross_attentions: tuple[Tensor, ...] | None = None

    return Output
