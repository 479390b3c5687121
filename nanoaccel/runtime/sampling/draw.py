"""Draws a token of a row of logits: by the compiled library, or by NumPy where there is none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.native.draw import native_draw
from nanoaccel.runtime.sampling.distribution import distribution, scale_of
from nanoaccel.runtime.sampling.selection import finite
from nanoaccel.runtime.sampling.settings import SamplingSettings


def draw(
    row: NDArray[np.float32],
    settings: SamplingSettings,
    uniform: float,
    likeliest: int | None = None,
) -> int:
    """The token that a number in [0, 1) selects, as ``Distribution.draw`` does.

    The library and NumPy round powers and sums differently, so that one number in a million
    selects a neighbour.

    Args:
        row: f32[V], processed logits.
        settings: With a temperature above 0.
        uniform: In [0, 1).
        likeliest: Index of the largest logit, or of the first NaN, where that is known.

    Raises:
        GenerationError: The logits hold NaN or +inf, or all are -inf.
    """
    native = native_draw()
    if native is not None and row.flags.c_contiguous:
        token = native(
            row,
            -1 if likeliest is None else likeliest,
            scale_of(settings),
            settings.top_k,
            settings.top_p,
            settings.min_p,
            uniform,
        )
        if token >= 0:
            return token
    peak = float(row.max() if likeliest is None else row[likeliest])
    return distribution(row, finite(peak), settings).draw(uniform)
