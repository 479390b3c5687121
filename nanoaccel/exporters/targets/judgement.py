"""The comparison of a graph with the original."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from nanoaccel.calibration.metrics import Fidelity, FidelityMeter

if TYPE_CHECKING:
    from nanoaccel.exporters.progress import Tell
    from nanoaccel.exporters.reference.artifacts import ModelArtifacts


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a graph gave over text.

    Args:
        fidelity: To the original.
        answers: Log-probabilities f32[R, V] that it gives to the probes of the self-check.
    """

    fidelity: Fidelity
    answers: NDArray[np.float32]


class RunOver(Protocol):
    """Runs a graph over texts."""

    def __call__(
        self,
        windows: Sequence[NDArray[np.int64]],
        take: Callable[[int, NDArray[np.float32]], None],
        tell: Callable[[float], object],
    ) -> None:
        """Call ``take`` with the number of each window i64[T] and its logits f32[T, V]."""


def judge_over(run_over: RunOver, size: int, artifacts: ModelArtifacts, tell: Tell) -> Judgement:
    """Run a graph over the text that judges and over the probes.

    Args:
        run_over: Runs the graph.
        size: Bytes of its weights.
        artifacts: Artifacts of the original.
        tell: Called with the share that is done.
    """
    reference, probes = artifacts.reference, artifacts.probes
    meter, picked = FidelityMeter(), []

    def take(index: int, logits: NDArray[np.float32]) -> None:
        if index < len(reference.windows):
            meter.add(logits, reference.logits(index), reference.windows[index])
        else:
            picked.append(probes.pick(logits))

    run_over([*reference.windows, *probes.passes], take, lambda done: tell(done, size=size))
    return Judgement(meter.result(reference.text), probes.answers(picked))
