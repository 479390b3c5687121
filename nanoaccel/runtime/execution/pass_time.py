"""How long a pass of a model takes on this machine, by what is in it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from nanoaccel.runtime.execution.online_curve import OnlineCurve
from nanoaccel.runtime.execution.scaled_curve import ScaledCurve


class PassTimeModel:
    """Seconds of a pass of one model: what the token budget, speculation and the selector read.

    Passes of equal size take different times, so there are three axes:

    - ``step``: any tokens, with logits behind the last of each sequence. It is learned from every
      step, and nothing is known before the first.
    - ``verify``: tokens that all have a row of logits, as in a step that checks draft tokens. Its
      shape is measured before the first request, and scaled by the steps that follow.
    - ``decode`` and ``prompt_token``: one token of each of several sequences, and tokens of a
      prompt. They are measured where a bundle has several graphs, to compare these with each other.

    Args:
        decode: Seconds of a pass over one token of each of so many sequences, 1 among them; empty
            when they were not measured.
        prompt_token: Seconds of a token of a prompt.
        verify: Seconds of a pass over so many tokens with logits, 1 among them; empty when they
            were not measured.
    """

    def __init__(
        self,
        *,
        decode: Mapping[int, float] | None = None,
        prompt_token: float = 0.0,
        verify: Mapping[int, float] | None = None,
    ) -> None:
        self.decode: Mapping[int, float] = {} if decode is None else decode
        self.prompt_token = prompt_token
        self.step = OnlineCurve()
        self.verify = ScaledCurve()
        if verify:
            self.verify.restore(verify)

    def decode_seconds(self, count: int) -> float:
        """Seconds of a pass over one token of each of ``count`` sequences, 1 or more."""
        sizes = sorted(self.decode)
        above = min(max(bisect_left(sizes, count), 1), len(sizes) - 1)
        if above == 0:
            return self.decode[sizes[0]] * count
        low, high = sizes[above - 1], sizes[above]
        slope = (self.decode[high] - self.decode[low]) / (high - low)
        return max(self.decode[low] + slope * (count - low), self.decode[sizes[0]])
