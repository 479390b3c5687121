"""How far the student's next token is from the teacher's, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Logits = Callable[[Tensor], Tensor]


def backward(states: Tensor, wanted: Tensor, student: Logits, teacher: Logits, rows: int) -> float:
    """The divergence of the student from the teacher, with its gradients.

    The gradient of a chunk is the difference of both distributions (Hinton et al. 2015,
    https://arxiv.org/abs/1503.02531), so no more than a chunk of logits of each is in memory.

    Args:
        states: [R, H] of the student's decoder, part of a graph.
        wanted: [R, H] of the teacher's decoder.
        student, teacher: From [C, H] to logits [C, V].
        rows: Rows of a chunk, C.

    Returns:
        KL(teacher || student), nats a row.
    """
    kept = states.detach()
    gradient = torch.empty_like(kept)
    total = 0.0
    for begin in range(0, len(kept), rows):
        chunk = kept[begin : begin + rows].requires_grad_()
        with torch.no_grad():
            right = teacher(wanted[begin : begin + rows]).float().log_softmax(-1)
        found = student(chunk)
        with torch.no_grad():
            own = found.float().log_softmax(-1)
            chances = right.exp()
            total += float((chances * right.sub_(own)).sum())
            slope = own.exp_().sub_(chances).div_(len(kept))
        found.backward(slope.to(found.dtype))
        assert chunk.grad is not None
        gradient[begin : begin + rows] = chunk.grad
    states.backward(gradient)
    return total / len(kept)
