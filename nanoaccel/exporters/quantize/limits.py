"""The smallest model within limits of fidelity: make, judge, and make again with more bits."""

from __future__ import annotations

from pathlib import Path

from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.errors import ExportError
from nanoaccel.exporters.quantize.budget import Budget
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quantize.trial_builder import Make, Trial

# Another text may be harder: what is accepted keeps the limit by two standard errors.
_ERRORS = 2.0
_MOST_TRIALS = 5
# A model this close to the smallest one that fails is small enough, as a share of its size.
_CLOSE = 0.02


def smallest_within(make: Make, recipe: Recipe, budget: Budget, folder: Path) -> list[Trial]:
    """Make models between the recipe's smallest and its largest until one is just good enough.

    The first has no layer in the backup's type. The loss of others is foretold from what was
    measured for single units, scaled by what the models made so far showed.

    Args:
        make: Function that makes and judges a graph in a folder.
        recipe: With limits of fidelity.
        budget: Budget of the model.
        folder: Where the models go, a folder each.

    Returns:
        All that were made; the best stands last, and its files alone are left.

    Raises:
        ExportError: Even the largest is not good enough.
    """
    low, high = budget.range(recipe)
    trials: list[Trial] = []
    best: Trial | None = None
    size = low
    while len(trials) < _MOST_TRIALS:
        trial = make(recipe.with_target(size), folder / str(len(trials)))
        trials.append(trial)
        if keeps(trial.fidelity, recipe):
            if best is not None:
                best.discard()
            best, high = trial, min(high, trial.graph.bytes)
        else:
            low = max(low, trial.graph.bytes)
            trial.discard()
        if best is not None and (high - low) <= _CLOSE * high:
            break
        if best is None and low >= budget.range(recipe)[1] * (1 - _CLOSE):
            break
        size = _next_size(recipe, budget, trials, low, high, best)
    if best is None:
        best = make(recipe.with_target(budget.range(recipe)[1]), folder / str(len(trials)))
        trials.append(best)
    if not keeps(best.fidelity, recipe):
        raise ExportError(
            f"the limits cannot be kept: with all layers in {recipe.backup} KL is "
            f"{best.fidelity.kl:.4f} and agreement {best.fidelity.top1_agreement:.1%}",
            "Allow more, or choose a method or a backup that loses less",
        )
    return [*(trial for trial in trials if trial is not best), best]


def keeps(fidelity: Fidelity, recipe: Recipe) -> bool:
    """Whether a model keeps a recipe's limits, errors of measurement allowed for."""
    if recipe.max_kl is not None and fidelity.kl + _ERRORS * fidelity.kl_error > recipe.max_kl:
        return False
    least = fidelity.top1_agreement - _ERRORS * fidelity.top1_error
    return recipe.min_agreement is None or least >= recipe.min_agreement


def _next_size(
    recipe: Recipe, budget: Budget, trials: list[Trial], low: int, high: int, best: Trial | None
) -> int:
    """The smallest size of which the limit is expected to be kept, between what is known."""
    if recipe.max_kl is None:
        return (low + high) // 2
    last = trials[-1]
    foretold = budget.within(recipe, max(last.graph.bytes, budget.range(recipe)[0])).loss
    scale = last.fidelity.kl / max(foretold, 1e-9)
    allowed = (recipe.max_kl - _ERRORS * last.fidelity.kl_error) * 0.98
    left, right = low, high
    for _ in range(20):
        middle = (left + right) // 2
        if budget.within(recipe, middle).loss * scale > allowed:
            left = middle
        else:
            right = middle
    if best is not None and right >= high:
        return (low + high) // 2
    return max(right, low + max(1, (high - low) // 20))
