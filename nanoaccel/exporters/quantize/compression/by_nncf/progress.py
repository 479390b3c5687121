"""What NNCF tells of its progress, told to somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nanoaccel.exporters.progress import Tell


@contextmanager
def reporting(tell: Tell, size: int) -> Iterator[None]:
    """Inside, the loops that NNCF shows as bars tell their share and what they do instead.

    Args:
        tell: Called with the share that is done.
        size: Bytes of the matrices that are compressed, told with the loop over all of them.
    """
    from nncf.common.logging import track_progress

    shown = track_progress.track.__iter__

    def silent(bar: Any) -> Iterator[Any]:
        weights = bar.weights
        total = bar.total if bar.total is not None else len(bar.sequence)
        done = 0.0
        for index, item in enumerate(bar.sequence):
            yield item
            done += 1 if weights is None else weights[index]
            share = min(1.0, done / total) if total else 1.0
            tell(share, bar.description.lower(), 0 if weights is None else size)

    track_progress.track.__iter__ = silent
    try:
        yield
    finally:
        track_progress.track.__iter__ = shown
