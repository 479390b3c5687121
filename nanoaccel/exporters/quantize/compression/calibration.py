"""The text that calibrated methods read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Calibration:
    """What calibrated methods need.

    Args:
        samples: Token windows, i64[T] each.
        folder: Where statistics and finished parts are kept, for this model and these samples.
    """

    samples: Sequence[NDArray[np.int64]]
    folder: Path
