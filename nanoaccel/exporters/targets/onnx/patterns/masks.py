"""Which tokens a layer attends to, and with what bias, by its mask for texts of several lengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.source.graph import INPUTS, SourceGraph, Value
from nanoaccel.exporters.targets.onnx.source.trial import Trial, unsupported

_UNSEEN = -1e4  # what is added to a score of an unseen token, at most
_CLOSE = 1e-4  # of biases in f32, by their largest


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """What a mask does to scores.

    Args:
        window: Tokens that a token attends to, itself included; None is all before it.
        slopes: f32 [heads], what a score falls by for each token between (ALiBi); None without.
    """

    window: int | None
    slopes: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """What a new token does to scores: its place, which tokens it sees, biases [heads, tokens]."""

    place: int
    seen: NDArray[np.bool_]
    bias: NDArray[np.float64]

    @property
    def count(self) -> int:
        """Tokens that it sees."""
        return int(self.seen.sum())

    @property
    def slopes(self) -> NDArray[np.float64]:
        """How much a bias rises from each token to the next, by head."""
        near = self.bias[:, self.seen]
        slopes: NDArray[np.float64] = (near[:, -1:] - near[:, :1]) / max(1, near.shape[1] - 1)
        line = near[:, :1] + slopes * np.arange(near.shape[1])
        if np.abs(near - line).max() > _CLOSE * max(1.0, float(np.abs(near).max())):
            raise unsupported("its attention adds a bias to scores that is not ALiBi")
        return slopes.ravel()


class Masks:
    """What masks do, by mask.

    Args:
        graph: The graph.
        context: Tokens that the model can attend to.
    """

    def __init__(self, graph: SourceGraph, context: int) -> None:
        self._graph = graph
        self._context = max(context, 16)
        self._trials: Sequence[Trial] | None = None
        self._known: dict[Value, Mask] = {}

    def read(self, mask: Value) -> Mask:
        """What a mask does.

        Raises:
            UnsupportedModelError: It attends in another way.
        """
        if mask not in self._known:
            self._known[mask] = self._find(mask)
        return self._known[mask]

    def _find(self, mask: Value) -> Mask:
        rows = [row for trial in self._some() for row in self._rows(trial, mask)]
        return Mask(_window(rows), _slopes(rows))

    def _some(self) -> Sequence[Trial]:
        if self._trials is None:
            half = self._context // 2
            sizes = ((9, 0), (5, half - 2), (3, self._context - 3))
            self._trials = [Trial(self._graph, tokens, cached) for tokens, cached in sizes]
        return self._trials

    def _rows(self, trial: Trial, mask: Value) -> Iterator[_Row]:
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
        heads = seen.reshape(-1, trial.tokens, length)
        if (heads != heads[:1]).any():
            raise _strange()
        bias = np.where(seen, 0.0 if table.dtype == bool else table, 0.0).reshape(heads.shape)
        for row in range(trial.tokens):
            yield _Row(trial.cached + row, heads[0, row], bias[:, row].astype(np.float64))


def _window(rows: Sequence[_Row]) -> int | None:
    for row in rows:
        seen, place, count = row.seen, row.place, row.count
        if not seen[place] or seen[place + 1 :].any() or not seen[place + 1 - count :][0]:
            raise _strange()
        if not seen[place + 1 - count : place + 1].all():
            raise _strange()
    limits = {row.count for row in rows if row.count <= row.place}
    if not limits:
        return None
    window = limits.pop()
    if limits or any(row.count != min(row.place + 1, window) for row in rows):
        raise _strange()
    return window


def _slopes(rows: Sequence[_Row]) -> NDArray[np.float32] | None:
    """Slopes of biases that rise evenly to the token itself, and are the same for each token."""
    if not any(row.bias.any() for row in rows):
        return None
    longest = max(rows, key=lambda row: row.count)
    slopes = longest.slopes
    for row in rows:
        if row.count > 1 and not np.allclose(row.slopes, slopes, rtol=_CLOSE, atol=0):
            raise unsupported("its attention adds a bias to scores that differs by token")
    return slopes.astype(np.float32)


def _strange() -> Exception:
    return unsupported("its layers attend to other tokens than all before, or the last ones")
