"""The interface of trainable drafts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from nanoaccel.finetune.drafts.batches import Batch


class DraftModule(nn.Module, ABC):  # type: ignore[misc]
    """A draft in torch.

    Attributes:
        rate: Its learning rate at most.
    """

    rate: float

    @abstractmethod
    def states(self, batch: Batch, depth: int) -> Iterator[Tensor]:
        """States for the tokens behind each position: f32[B, T, H] for each depth.

        Args:
            batch: What is read.
            depth: Guesses in a row: the d-th states are those of a draft that has read of the
                target up to d - 1 positions before, and guessed from there on. One that needs
                nothing of the target gives the same each time.
        """

    @abstractmethod
    def logits(self, x: Tensor) -> Tensor:
        """States f32[..., H] as logits f32[..., V]."""

    def draft_tokens(self, batch: Batch, depth: int) -> Iterator[Tensor]:
        """The likeliest tokens: i64[B, T] for each depth."""
        for x in self.states(batch, depth):
            yield self.logits(x).argmax(-1)

    def losses(self, batch: Batch, depth: int) -> list[Tensor]:
        """Cross entropy to the target's distribution, where it is taught, for each depth."""
        chances, likeliest = batch.chances[batch.taught], batch.likeliest[batch.taught]
        losses = []
        for x in self.states(batch, depth):
            logs = F.log_softmax(self.logits(x[batch.taught]), -1).gather(-1, likeliest)
            losses.append(-(chances * logs).sum(-1).mean())
        return losses
