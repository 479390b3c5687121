"""The counters of several engines as those of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import zip_longest
from typing import Any

from nanoaccel.runtime.adapters.pool import AdapterCounters
from nanoaccel.runtime.engine.metrics import Counters, Durations
from nanoaccel.runtime.speculation import SpeculationCounters


def merge(parts: Sequence[Counters]) -> Counters:
    """Sums; see ``merge_durations`` and ``merge_speculation`` for what is not one.

    Args:
        parts: One or more.
    """
    apart = ("finished", "first_token", "per_token", "speculation", "adapters")
    finished: Counter[Any] = Counter()
    for part in parts:
        finished.update(part.finished)
    return Counters(
        **_sums(parts, [item.name for item in fields(Counters) if item.name not in apart]),
        finished=finished,
        first_token=merge_durations([part.first_token for part in parts]),
        per_token=merge_durations([part.per_token for part in parts]),
        speculation=merge_speculation([part.speculation for part in parts]),
        adapters=_merge_adapters([part.adapters for part in parts]),
    )


def merge_durations(parts: Sequence[Durations]) -> Durations:
    """Counts and sums are exact; percentiles are means, weighted by the engines' counts."""
    count = sum(part.count for part in parts)

    def mean(name: str) -> float:
        weighted = sum(getattr(part, name) * part.count for part in parts)
        return float(weighted / count) if count else 0.0

    total = sum(part.total for part in parts)
    return Durations(count, total, mean("p50"), mean("p95"), mean("p99"))


def merge_speculation(parts: Sequence[SpeculationCounters]) -> SpeculationCounters:
    """Sums; what a draft token costs is the mean of the engines where that is known."""
    apart = ("reached", "accepted", "seconds_per_guess")
    costs: dict[str, list[float]] = {}
    for part in parts:
        for name, seconds in part.seconds_per_guess.items():
            costs.setdefault(name, []).append(seconds)
    names = [item.name for item in fields(SpeculationCounters) if item.name not in apart]
    return SpeculationCounters(
        **_sums(parts, names),
        reached=_by_position([part.reached for part in parts]),
        accepted=_by_position([part.accepted for part in parts]),
        seconds_per_guess={name: sum(cost) / len(cost) for name, cost in costs.items()},
    )


def _merge_adapters(parts: Sequence[AdapterCounters]) -> AdapterCounters:
    return AdapterCounters(**_sums(parts, [item.name for item in fields(AdapterCounters)]))


def at_rest(counters: Counters) -> Counters:
    """Those of an engine that has ended: what it held is gone, what it did stays."""
    return replace(
        counters,
        waiting=0,
        running=0,
        waiting_tokens=0,
        cache_blocks=0,
        owned_blocks=0,
        cached_blocks=0,
        cache_states=0,
        owned_states=0,
        cached_states=0,
        cache_bytes=0,
        adapters=replace(counters.adapters, loaded=0),
    )


def _sums(parts: Sequence[object], names: Sequence[str]) -> Mapping[str, Any]:
    return {name: sum(getattr(part, name) for part in parts) for name in names}


def _by_position(parts: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(map(sum, zip_longest(*parts, fillvalue=0)))
