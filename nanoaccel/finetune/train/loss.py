"""The loss over the vocabulary, a few rows at a time: all logits at once are the largest tensor."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_LOGITS = 1 << 23  # in a chunk
_LEAST, _MOST = 16, 1024  # rows of a chunk


def chunk_rows(vocabulary: int) -> int:
    """Rows that are computed at once."""
    return max(_LEAST, min(_MOST, _LOGITS // vocabulary))


def backward_in_chunks(
    states: Tensor, targets: Tensor, logits: Callable[[Tensor], Tensor], scale: float, rows: int
) -> float:
    """The cross entropy, with gradients of everything that it depends on.

    The gradient of a chunk is made of its logits in place, so no more than one chunk of logits in
    f32 and two in the model's own type are in memory.

    Args:
        states: [R, H] of the decoder, part of a graph.
        targets: i64[R], the right tokens.
        logits: [C, H] to [C, V].
        scale: Factor of the loss.
        rows: Rows of a chunk, C.

    Returns:
        The loss: minus the sum of the targets' log probabilities, unscaled.
    """
    kept = states.detach()
    gradient = torch.empty_like(kept)
    total = 0.0
    for begin in range(0, len(kept), rows):
        chunk = kept[begin : begin + rows].requires_grad_()
        chosen = targets[begin : begin + rows]
        found = logits(chunk)
        with torch.no_grad():
            loss, slope = _cross_entropy(found, chosen)
            total += loss
            slope.mul_(scale)
        found.backward(slope.to(found.dtype))
        assert chunk.grad is not None
        gradient[begin : begin + rows] = chunk.grad
    if states.requires_grad:
        states.backward(gradient)
    return total


def loss_in_chunks(
    states: Tensor, targets: Tensor, logits: Callable[[Tensor], Tensor], rows: int
) -> float:
    """As ``backward_in_chunks``, without gradients."""
    total = 0.0
    with torch.no_grad():
        for begin in range(0, len(states), rows):
            found = logits(states[begin : begin + rows]).float()
            right = found.gather(1, targets[begin : begin + rows, None])[:, 0]
            total += float((found.logsumexp(-1) - right).sum())
    return total


def _cross_entropy(logits: Tensor, targets: Tensor) -> tuple[float, Tensor]:
    """The loss, and its gradient f32[C, V]."""
    values = logits.float()
    if values is logits:
        values = values.clone()
    right = values.gather(1, targets[:, None])[:, 0]
    total = values.logsumexp(-1)
    loss = float((total - right).sum())
    slope = values.sub_(total[:, None]).exp_()
    slope[torch.arange(len(targets)), targets] -= 1
    return loss, slope
