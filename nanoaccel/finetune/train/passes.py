"""One pass of a model over texts that lie packed in a row, or padded in rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from nanoaccel.finetune.data.encode import Example
from nanoaccel.finetune.train.attention import NAME, PackedAttention
from nanoaccel.finetune.train.batches import Batch, collate
from nanoaccel.finetune.train.head import Halves
from nanoaccel.finetune.train.loss import backward_in_chunks, chunk_rows, loss_in_chunks

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_CLOSE = 0.05  # of a state's length; another text's tokens change it by far more
_TEXTS = (7, 9)  # tokens of the texts that packing is tried with


class Passes:
    """Computes losses and gradients.

    Args:
        model: A causal language model.

    Attributes:
        packs: Whether texts are packed: the model must give the same states then as for each text
            alone. Models with a recurrent state do not, nor those with an attention of their own.

    Raises:
        UnsupportedModelError: The model is not made of a decoder and a head.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._halves = Halves(model)
        self._rows = chunk_rows(model.config.get_text_config().vocab_size)
        self._attention = PackedAttention()
        self._usual = model.config._attn_implementation
        self._halves.check()
        self.packs = self._can_pack()

    def backward(self, examples: Sequence[Example], scale: float) -> tuple[float, int]:
        """Add the gradients of a pass to those of the weights.

        Args:
            examples: Texts of the pass.
            scale: Factor of the summed loss.

        Returns:
            The summed loss, unscaled, and the tokens that it is of.
        """
        batch = collate(examples, packed=self.packs)
        with self._packed():
            states = self._states(batch)
            loss = backward_in_chunks(states, batch.targets, self._halves.logits, scale, self._rows)
        return loss, len(batch.targets)

    def loss(self, examples: Sequence[Example]) -> tuple[float, int]:
        """The summed loss of a pass, and the tokens that it is of."""
        batch = collate(examples, packed=self.packs)
        with self._packed(), torch.no_grad():
            states = self._states(batch)
            total = loss_in_chunks(states, batch.targets, self._halves.logits, self._rows)
        return total, len(batch.targets)

    def _states(self, batch: Batch) -> Tensor:
        """[R, H], the states whose next token is learned."""
        if not self.packs:
            states = self._halves.states(batch.ids)
        else:
            self._attention.set_lengths(batch.lengths)
            # A whole mask keeps transformers from making one of its own out of the positions.
            seen = torch.ones_like(batch.ids, dtype=torch.bool)
            states = self._halves.states(
                batch.ids, position_ids=batch.positions, attention_mask=seen
            )
        return states.flatten(0, 1).index_select(0, batch.rows)

    @contextmanager
    def _packed(self) -> Iterator[None]:
        """Attention of packed texts, where they are packed; the model's own afterwards."""
        if not self.packs:
            yield
            return
        self._attention.register()
        self._model.set_attn_implementation(NAME)
        try:
            yield
        finally:
            self._model.set_attn_implementation(self._usual)

    def _can_pack(self) -> bool:
        """Try it: two texts in a row against each of them alone."""
        ids = [torch.arange(2, 2 + length) % 61 for length in _TEXTS]
        examples = [
            Example("", text.int().numpy(), torch.ones(len(text), dtype=torch.bool).numpy())
            for text in ids
        ]
        with torch.no_grad():
            alone = torch.cat([self._halves.states(text[None])[0][:-1] for text in ids]).float()
            self.packs = True
            try:
                with self._packed():
                    packed = self._states(collate(examples, packed=True)).float()
            except (TypeError, ValueError, AttributeError, RuntimeError):
                return False  # it takes no positions, or has no attention that can be replaced
        error = (packed - alone).norm(dim=-1) / alone.norm(dim=-1)
        return bool(error.max() < _CLOSE)
