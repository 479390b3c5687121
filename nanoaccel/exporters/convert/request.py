"""What a conversion is asked for, and what it gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nanoaccel.calibration.datasets.options import CalibrationOptions
    from nanoaccel.exporters.progress import Progress
    from nanoaccel.exporters.quantize.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """Options of a conversion; None leaves a thing as it is.

    Args:
        runtime: "openvino", "onnx", "both" or "auto", of a bundle.
        recipe: How a bundle stores its weights.
        calibration: Text for calibrated recipes.
        judge_tokens: Tokens over which a new recipe is judged.
        original: Name of the model that a bundle was made from.
        gguf_type: Type of a GGUF file's matrices.
        overwrite: Whether what stands at the output is replaced.
    """

    runtime: str | None = None
    recipe: Recipe | None = None
    calibration: CalibrationOptions | None = None
    judge_tokens: int | None = None
    original: str | None = None
    gguf_type: str | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Conversion:
    """A conversion to be done.

    Args:
        source: The model's name, or the folder or file.
        out: Where it goes, absolute.
        options: What was asked for.
        progress: Learns the stages.
    """

    source: str
    out: Path
    options: ConvertOptions
    progress: Progress


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion made.

    Args:
        path: The folder or file.
        kind: Its kind.
        how: What became of the weights, in words.
        notes: What was lost on the way; empty when nothing was.
    """

    path: Path
    kind: str
    how: str
    notes: Sequence[str] = field(default=())
