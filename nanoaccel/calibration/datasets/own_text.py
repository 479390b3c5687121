"""Calibration text that the model writes itself; nothing is downloaded."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nanoaccel.calibration.datasets.prompt_frame import PromptFrame
from nanoaccel.errors import ConfigError, SourceError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_TOP_P = 0.95
_CANDIDATES = 1024  # sorting a whole vocabulary takes longer than a step of a small model


def write_own_text(
    model: PreTrainedModel,
    frame: PromptFrame,
    *,
    windows: int,
    length: int,
    seed: int,
    tick: Callable[[float], None],
    batch: int = 32,
) -> list[NDArray[np.int64]]:
    """Let a model write windows of text.

    Each token is sampled at temperature 1 from the nucleus of 0.95 (Holtzman et al. 2020, "The
    Curious Case of Neural Text Degeneration"). A window draws its own chances, from the seed and
    its number: the first windows stay the same when more are asked for, and in other batches, as
    far as the rounding of the model's arithmetic does. A text that ends before its window is full
    is followed by another.

    Args:
        model: On any device, in any float type.
        frame: What the model is given to begin with, and behind each end.
        windows: How many.
        length: Tokens in each, those of the script included.
        seed: Seed of the chances.
        tick: Called with the share that is done, 0 to 1.
        batch: Windows that are written at once.

    Returns:
        Tokens i64[length] of each window.

    Raises:
        ConfigError: The script's opening fills the window.
        SourceError: The model gives numbers that are none.
    """
    if len(frame.opening) >= length:
        raise ConfigError(
            f"calibration length={length} leaves no room behind the {len(frame.opening)} tokens "
            "that a text of this model begins with",
            "Choose longer windows",
        )
    found: list[NDArray[np.int64]] = []
    for first in range(0, windows, batch):
        numbers = range(first, min(first + batch, windows))

        def tell(share: float, numbers: range = numbers) -> None:
            tick((numbers.start + share * len(numbers)) / windows)

        found.extend(_write_batch(model, frame, _chances(seed, numbers, length), tell))
    return found


def sample_nucleus(logits: torch.Tensor, chances: torch.Tensor) -> torch.Tensor:
    """Sample from the smallest set of likeliest tokens that holds 0.95 of the probability.

    Args:
        logits: [B, V], any float type.
        chances: f64[B], each in 0 <= x < 1; the token is a function of it.

    Returns:
        Tokens i64[B]; the set has 1024 of them at most.
    """
    import torch

    everything = torch.softmax(logits.float(), dim=-1)
    likeliest, tokens = everything.topk(min(_CANDIDATES, everything.shape[-1]))
    sums = likeliest.double().cumsum(dim=-1)
    last = (sums < _TOP_P).sum(dim=-1, keepdim=True).clamp(max=sums.shape[-1] - 1)
    target = chances[:, None] * sums.gather(-1, last)
    position = torch.searchsorted(sums, target, right=True)
    return tokens.gather(-1, torch.minimum(position, last))[:, 0]


class _Pen:
    """Writes one window behind its opening: tokens of the frame, else those of the model."""

    def __init__(self, frame: PromptFrame) -> None:
        self._frame = frame
        self._given: deque[int] = deque()
        self._ends = 0

    def write(self, sampled: int) -> int:
        """The next token, where the model would say ``sampled``."""
        if not self._given and sampled in self._frame.end_ids:
            self._given.extend(self._frame.bridges[self._ends % len(self._frame.bridges)])
            self._ends += 1
        return self._given.popleft() if self._given else sampled


def _write_batch(
    model: PreTrainedModel,
    frame: PromptFrame,
    chances: NDArray[np.float64],
    tick: Callable[[float], None],
) -> NDArray[np.int64]:
    """Windows i64[B, length], sampled with uniform numbers f64[B, length].

    All windows are at the same token all the time, whatever the script gives to each, so that
    there is no padding and nothing to mask.
    """
    import torch

    count, length = chances.shape
    opening = len(frame.opening)
    written = np.empty((count, length), np.int64)
    written[:, :opening] = frame.opening
    pens = [_Pen(frame) for _ in range(count)]
    cache = None
    read = 0
    with torch.inference_mode():
        for position in range(opening, length):
            new = torch.from_numpy(written[:, read:position]).to(model.device)
            output = model(input_ids=new, past_key_values=cache, use_cache=True)
            cache, read = output.past_key_values, position
            logits = output.logits[:, -1]
            _check_numbers(logits)
            sampled = sample_nucleus(
                logits, torch.from_numpy(chances[:, position]).to(logits.device)
            )
            written[:, position] = [
                pen.write(token) for pen, token in zip(pens, sampled.tolist(), strict=True)
            ]
            tick((position + 1) / length)
    return written


def _check_numbers(logits: torch.Tensor) -> None:
    if logits.isnan().any():
        raise SourceError(
            "the model gives logits that are not numbers",
            "Its weights may be damaged, or overflow in f16: load them as bf16 or f32",
        )


def _chances(seed: int, windows: range, length: int) -> NDArray[np.float64]:
    """Uniform numbers f64[B, length] out of 0 <= x < 1, each window's own."""
    # random() is promised to give the same numbers in every version of Python; numpy's is not.
    sources = [random.Random(f"{seed}/{window}") for window in windows]
    return np.array([[source.random() for _ in range(length)] for source in sources])
