"""What a user reads before a training begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nanoaccel.finetune.data.prepare import DataSet
from nanoaccel.finetune.train.options import TrainingOptions
from nanoaccel.registry import ADAPTER_METHODS

if TYPE_CHECKING:
    from nanoaccel.finetune.train.loop import Training


def plan_rows(
    *,
    kind: str,
    parameters: int,
    options: TrainingOptions,
    data: DataSet,
    training: Training,
    judged: int,
    per_token: float,
    memory: int,
    packed: bool,
) -> list[tuple[str, str]]:
    """A name and a value for each fact.

    Args:
        kind: Type of the base's numbers.
        parameters: Weights of the base.
        options: How it learns.
        data: What it learns.
        training: What will be done.
        judged: Tokens that an evaluation reads.
        per_token: Seconds that a token of a pass took.
        memory: The most anonymous memory so far, a pass with gradients included, bytes.
        packed: Whether texts are packed.
    """
    from nanoaccel.finetune.train.trial import expected_seconds, optimizer_bytes

    count = training.weights.count
    tokens = sum(map(len, data.train))
    taught = sum(int(example.taught[1:].sum()) for example in data.train)
    counts = data.counts
    seconds = expected_seconds(per_token, training.tokens, judged * training.evaluations)
    bytes_ = memory + optimizer_bytes(count)
    return [
        ("method", _method(options)),
        ("trained weights", f"{count:,}; the base has {parameters:,}"),
        ("base", "4 bits" if options.four_bits else kind),
        ("rows", f"{counts.rows:,}, of which {len(counts.problems):,} cannot be learned"),
        ("examples", f"{len(data.train):,} to learn, {len(data.validation):,} held out"),
        ("too long", f"{counts.long:,}, of which {counts.dropped:,} are left out, the others cut"),
        ("tokens", f"{tokens:,}, of which {taught:,} are learned ({taught / tokens:.0%})"),
        ("steps", f"{training.steps:,} in {options.epochs:g} epochs, {_placed(packed)}"),
        ("expected time", _duration(seconds)),
        ("expected memory", f"{bytes_ / 1e9:.2f} GB"),
    ]


def _method(options: TrainingOptions) -> str:
    if not options.adapts:
        return "all weights" if not options.layers else f"weights of {len(options.layers)} blocks"
    package = ADAPTER_METHODS.package_of(options.method)
    named = options.method if package is None else f"{options.method} of {package}"
    return f"{named}, rank {options.rank}, alpha {options.scale_alpha:g}"


def _placed(packed: bool) -> str:
    return "texts packed" if packed else "texts of about one length padded together"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
