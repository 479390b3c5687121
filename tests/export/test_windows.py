"""Windows that are read from the masks of transformers."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from transformers.masking_utils import (
    bidirectional_mask_function,
    causal_mask_function,
    chunked_causal_mask_function,
    sliding_window_causal_mask_function,
)

from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.targets.openvino.tracing.windows import Mask, windows_of

pytestmark = pytest.mark.export


def _chunks(size: int) -> Mask:
    import torch

    return chunked_causal_mask_function(size, torch.zeros(1, dtype=torch.int64))


@pytest.mark.parametrize("window", [1, 2, 48, 1023])
def test_windows_are_those_of_the_masks(window: int) -> None:
    local = sliding_window_causal_mask_function(window)
    masks: list[Mask] = [local, causal_mask_function, local, 7, 0]
    assert windows_of(masks, 1024) == [window, 0, window, 7, 0]


def test_window_as_long_as_the_context_is_none() -> None:
    assert windows_of([sliding_window_causal_mask_function(1024)], 1024) == [0]


@pytest.mark.parametrize("masks", [[], [None], [causal_mask_function, None]])
def test_windows_are_not_known_without_every_mask(masks: list[Mask]) -> None:
    assert windows_of(masks, 1024) is None


def test_tokens_that_come_later_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="neither causal nor a sliding window"):
        windows_of([bidirectional_mask_function], 1024)


def test_chunks_are_causal_within_the_first_alone() -> None:
    assert windows_of([_chunks(64)], 64) == [0]
    with pytest.raises(UnsupportedModelError):
        windows_of([_chunks(64)], 1024)
