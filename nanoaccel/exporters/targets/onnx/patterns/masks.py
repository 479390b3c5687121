"""Which tokens a layer attends to, by what its mask is for texts of several lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.source.graph import INPUTS, SourceGraph, Value
from nanoaccel.exporters.targets.onnx.source.trial import Trial, unsupported

_UNSEEN = -1e4  # what is added to a score of an unseen token, at most


class Masks:
    """Windows by mask.

    Args:
        graph: The graph.
        context: Tokens that the model can attend to.
    """

    def __init__(self, graph: SourceGraph, context: int) -> None:
        self._graph = graph
        self._context = max(context, 16)
        self._trials: Sequence[Trial] | None = None
        self._known: dict[Value, int | None] = {}

    def window(self, mask: Value) -> int | None:
        """Tokens that a token attends to, itself included; None is all before it.

        Raises:
            UnsupportedModelError: It attends in another way.
        """
        if mask not in self._known:
            self._known[mask] = self._find(mask)
        return self._known[mask]

    def _find(self, mask: Value) -> int | None:
        rows = [row for trial in self._some() for row in self._rows(trial, mask)]
        counts = [(place, int(seen.sum())) for place, seen in rows]
        for (place, seen), (_, count) in zip(rows, counts, strict=True):
            if not seen[place] or seen[place + 1 :].any() or not seen[place + 1 - count :][0]:
                raise _strange()
            if not seen[place + 1 - count : place + 1].all():
                raise _strange()
        limits = {count for place, count in counts if count <= place}
        if not limits:
            return None
        window = limits.pop()
        if limits or any(count != min(place + 1, window) for place, count in counts):
            raise _strange()
        return window

    def _some(self) -> Sequence[Trial]:
        if self._trials is None:
            half = self._context // 2
            sizes = ((9, 0), (5, half - 2), (3, self._context - 3))
            self._trials = [Trial(self._graph, tokens, cached) for tokens, cached in sizes]
        return self._trials

    def _rows(self, trial: Trial, mask: Value) -> list[tuple[int, NDArray[np.bool_]]]:
        """Places of new tokens in their text, and which tokens each of them sees."""
        length = trial.cached + trial.tokens
        numbers: dict[str, NDArray[Any]] = {
            INPUTS[0]: np.ones((1, trial.tokens), np.int64),
            INPUTS[1]: np.ones((1, length), np.int64),
            INPUTS[2]: np.arange(trial.cached, length, dtype=np.int64)[None],
        }
        given = {
            value: array
            for name, array in numbers.items()
            if (value := self._graph.input(name)) is not None
        }
        found = trial.run([mask], given)
        if found is None:
            raise unsupported(f"its attention mask ({mask.name}) depends on more than lengths")
        table = found[0]
        if table.shape[-2:] != (trial.tokens, length):
            raise _strange()
        seen = table.astype(bool) if table.dtype == bool else table > _UNSEEN
        if table.dtype != bool and (table[seen] != 0).any():
            raise unsupported("its attention adds a bias to scores (ALiBi, for example)")
        heads = seen.reshape(-1, trial.tokens, length)
        if (heads != heads[:1]).any():
            raise _strange()
        return [(trial.cached + row, heads[0, row]) for row in range(trial.tokens)]


def _strange() -> Exception:
    return unsupported("its layers attend to other tokens than all before, or the last ones")
