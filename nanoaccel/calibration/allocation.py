"""Which layers get more bits: measured losses, and a budget of bytes."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to store a unit: some layers that are stored alike.

    Args:
        name: Name of the type.
        size: Bytes.
        loss: What it costs in fidelity, nats a token.
    """

    name: str
    size: int
    loss: float


@dataclass(frozen=True, slots=True)
class Allocation:
    """A choice for each unit.

    Args:
        chosen: Name of the type by unit.
        size: Bytes of all.
        loss: Sum over all, the effects of units being taken as independent.
    """

    chosen: Mapping[str, str]
    size: int
    loss: float


def smallest_size(units: Mapping[str, Sequence[Choice]]) -> int:
    """Bytes when each unit takes the least it can."""
    return sum(min(choice.size for choice in choices) for choices in units.values())


def allocate(units: Mapping[str, Sequence[Choice]], budget: int) -> Allocation:
    """Spend a budget where it saves the most loss a byte.

    Each unit begins with its smallest choice. Steps to larger ones are taken in order of the loss
    that they save a byte, along the lower convex hull of each unit's choices; that is optimal at
    each budget at which a step ends (Everett 1963, generalized Lagrange multipliers). What then
    is left goes to the steps that still fit.

    Args:
        units: Ways to store each unit, by its name.
        budget: Bytes for all of them.

    Raises:
        ValueError: Even the smallest choices need more.
    """
    hulls = {name: _hull(choices) for name, choices in units.items()}
    indices = dict.fromkeys(units, 0)
    left = budget - sum(hull[0].size for hull in hulls.values())
    if left < 0:
        raise ValueError(f"{budget} bytes are less than {smallest_size(units)}")
    steps = [(_slope(hull, 0), name) for name, hull in hulls.items() if len(hull) > 1]
    heapq.heapify(steps)
    while steps:
        _, name = heapq.heappop(steps)
        hull, index = hulls[name], indices[name]
        price = hull[index + 1].size - hull[index].size
        if price > left:
            continue
        left -= price
        indices[name] = index + 1
        if index + 2 < len(hull):
            heapq.heappush(steps, (_slope(hull, index + 1), name))
    taken = {name: hull[indices[name]] for name, hull in hulls.items()}
    return Allocation(
        {name: choice.name for name, choice in taken.items()},
        sum(choice.size for choice in taken.values()),
        sum(choice.loss for choice in taken.values()),
    )


def _hull(choices: Sequence[Choice]) -> list[Choice]:
    """Choices by rising size, of which none saves less loss a byte than the next."""
    hull: list[Choice] = []
    for choice in sorted(choices, key=lambda choice: (choice.size, choice.loss)):
        if hull and choice.loss >= hull[-1].loss:
            continue
        while len(hull) > 1 and _rate(hull[-2], hull[-1]) < _rate(hull[-1], choice):
            hull.pop()
        hull.append(choice)
    return hull


def _slope(hull: Sequence[Choice], index: int) -> float:
    """Negative rate of a step, for a heap in which the best step comes first."""
    return -_rate(hull[index], hull[index + 1])


def _rate(small: Choice, large: Choice) -> float:
    """Loss saved per additional byte."""
    return (small.loss - large.loss) / max(1, large.size - small.size)
