"""What an export keeps of the original once it is freed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nanoaccel.calibration.probes import Probes
from nanoaccel.calibration.reference import Reference
from nanoaccel.calibration.sensitivity import Sensitivity
from nanoaccel.exporters.quantize.compression import Calibration

if TYPE_CHECKING:
    from nanoaccel.exporters.source.prequantized import PackedWeight


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelArtifacts:
    """Everything that an export keeps of the original.

    Args:
        captured: Folder with a folder for each target, of what it took of the original.
        parameters: Weights of the original.
        fingerprint: Names these weights.
        content: Names the original: weights, configuration and tokenizer.
        context: Tokens that it can attend to.
        reference: What the original predicts over the text that judges.
        calibration: Samples, where a recipe needs them.
        text: What the samples are.
        digest: Names the text that judges and the samples.
        sensitivity: Sensitivity of each unit, where it was measured.
        packed: Weights that stay as a checkpoint had them, by module.
        probes: What the engine will be asked.
        answers: What the original answers, f32[R, V], where the recipe keeps its weights.
    """

    captured: Path
    parameters: int
    fingerprint: str
    content: str
    context: int
    reference: Reference
    calibration: Calibration | None
    text: str | None
    digest: str
    sensitivity: Sequence[Sensitivity]
    packed: Mapping[str, PackedWeight]
    probes: Probes
    answers: NDArray[np.float32] | None

    def discard(self) -> None:
        """Delete what was captured."""
        shutil.rmtree(self.captured, ignore_errors=True)
