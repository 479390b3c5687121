"""How long a pass of a model takes on this machine, by what is in it."""

from __future__ import annotations

from collections.abc import Mapping

from nanoaccel.runtime.execution.online_curve import OnlineCurve
from nanoaccel.runtime.execution.scaled_curve import ScaledCurve


class PassTimeModel:
    """Seconds of a pass of one model: what the token budget and speculation read.

    Passes of equal size take different times, so there are two axes:

    - ``step``: any tokens, with logits behind the last of each sequence. It is learned from every
      step, and nothing is known before the first.
    - ``verify``: tokens that all have a row of logits, as in a step that checks draft tokens. Its
      shape is measured before the first request, and scaled by the steps that follow.

    Args:
        verify: Seconds of a pass over so many tokens with logits, 1 among them; empty when they
            were not measured.
    """

    def __init__(self, *, verify: Mapping[int, float] | None = None) -> None:
        self.step = OnlineCurve()
        self.verify = ScaledCurve()
        if verify:
            self.verify.restore(verify)
