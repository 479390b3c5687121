"""Models that are only numbers: how large they are, and how far from their original."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.calibration.sensitivity import Sensitivity
from nanoaccel.exporters.quantize.budget import Budget
from nanoaccel.exporters.quantize.compression import Layer, WeightStatistics
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quantize.trial_builder import Trial
from nanoaccel.exporters.targets.judgement import Judgement
from nanoaccel.exporters.targets.openvino.build import BuiltGraph

WIDTH = 256
BLOCKS = 4


def fidelity(kl: float, agreement: float = 0.9, error: float = 0.0) -> Fidelity:
    """What a judgement would have found."""
    return Fidelity(
        text="a text",
        tokens=1000,
        kl=kl,
        kl_error=error,
        kl_median=kl / 2,
        kl_99=5 * kl,
        top1_agreement=agreement,
        top1_error=error,
        perplexity=12.0,
        perplexity_error=0.1,
        reference_perplexity=11.0,
        log_ratio=0.087,
        log_ratio_error=0.001,
        probability_change=-0.01,
        probability_change_error=0.001,
        probability_change_rms=0.1,
    )


def layers() -> list[Layer]:
    """A last projection and two projections a block."""
    found = [Layer("lm_head", "last", ("head",), 1024, WIDTH)]
    for block in range(BLOCKS):
        for name in ("up", "down"):
            full = f"model.layers.{block}.{name}"
            found.append(Layer(full, "projection", (full,), WIDTH, WIDTH))
    return found


def budget() -> Budget:
    """Units that become less sensitive from block to block."""
    units = [
        Sensitivity((layer.name,), 0.1 / (place + 1), 0.001)
        for place, layer in enumerate(layers()[1:])
    ]
    total = sum(layer.parameters for layer in layers())
    return Budget(layers(), units, 4 * total + 1000, 4)


def maker(
    budget: Budget, seconds: float = 1.0, scale: float = 1.0
) -> tuple[Callable[[Recipe, Path], Trial], list[Recipe]]:
    """Makes trials whose KL is ``scale`` times what was foretold, and notes the recipes."""
    made: list[Recipe] = []

    def make(recipe: Recipe, folder: Path) -> Trial:
        made.append(recipe)
        low, _ = budget.range(recipe)
        sensitive = budget.sensitive(recipe)
        size = low if recipe.target_size is None else recipe.target_size
        size = size if recipe.target_bits is None else int(recipe.target_bits * 1e5)
        loss = budget.within(recipe, max(low, size)).loss if sensitive else _whole(budget)
        folder.mkdir(parents=True)
        (folder / "openvino_model.xml").write_text("<net/>")
        graph = BuiltGraph(
            folder / "openvino_model.xml", WeightStatistics({"i4": 1}, 64), {}, 0, 0, size
        )
        finer = 0.8 ** len(recipe.methods)
        answers = np.zeros((1, 1), np.float32)
        judgement = Judgement(fidelity(scale * finer * loss), answers)
        return Trial(recipe, graph, judgement, seconds)

    return make, made


def _whole(budget: Budget) -> float:
    return sum(unit.kl for unit in budget.sensitivity)
