"""What NNCF tells of its progress, told to somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nanoaccel.exporters.progress import Tell


@contextmanager
def reporting(tell: Tell) -> Iterator[None]:
    """Inside, the loops that NNCF shows as bars tell their share and what they do instead."""
    from nncf.common.logging import track_progress

    shown = track_progress.track.__iter__

    def silent(bar: Any) -> Iterator[Any]:
        weights = bar.weights
        total = bar.total if bar.total is not None else len(bar.sequence)
        done = 0.0
        for index, item in enumerate(bar.sequence):
            yield item
            done += 1 if weights is None else weights[index]
            tell(min(1.0, done / total) if total else 1.0, bar.description.lower())

    track_progress.track.__iter__ = silent
    try:
        yield
    finally:
        track_progress.track.__iter__ = shown
