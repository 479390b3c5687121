"""Rotary embeddings, known by what they do to numbers: half by half, or pair by pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.patterns.regions import Region, regions_behind
from nanoaccel.exporters.targets.onnx.rotation import Rotation
from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import POSITIONS, SourceGraph, Value
from nanoaccel.exporters.targets.onnx.source.trial import Trial

_TOKENS = 7
_MOST = 2  # regions that are tried
_NEAR, _FAR = 1e-4, 0.05  # how far numbers may be off, at low positions and at high ones
_LOW = 64  # positions that are low


@dataclass(frozen=True, slots=True, eq=False)
class Rotated:
    """A value that is rotated.

    Args:
        source: The value before it is.
        rotation: Its frequencies and scale.
        interleaved: Whether numbers are turned pair by pair.
    """

    source: Value
    rotation: Rotation
    interleaved: bool

    def turns_like(self, other: Rotated) -> bool:
        """Whether another value is turned alike."""
        return self.interleaved == other.interleaved and self.rotation.key == other.rotation.key


class Rotations:
    """Finds how values are rotated.

    Args:
        graph: The graph.
        constants: Its numbers.
        context: Tokens that the model can attend to.
    """

    def __init__(self, graph: SourceGraph, constants: Constants, context: int) -> None:
        self._graph, self._constants, self._context = graph, constants, context
        self._factors = graph.long_factors
        self._trial: Trial | None = None
        self._known: dict[tuple[object, ...], tuple[Rotation, bool] | None] = {}

    def find(self, value: Value) -> Rotated | None:
        """How a value [1, heads, T, D] or [1, T, heads, D] is rotated; None when it is not."""
        for region in regions_behind(self._graph, value, most=_MOST):
            if region.source.shape != value.shape or not _reads_positions(region):
                continue
            form = region.form(self._constants)
            if form not in self._known:
                self._known[form] = self._judge(region)
            found = self._known[form]
            if found is not None:
                return Rotated(region.source, *found)
        return None

    def _judge(self, region: Region) -> tuple[Rotation, bool] | None:
        """What a region does, if it is a rotation: of short texts, and of long ones."""
        factors = self._factors
        if factors is None:
            return self._fit(region, self._context)
        found = self._fit(region, factors.border)
        longer = self._fit(region, self._context, factors.offset)
        if found is None or longer is None:
            return None
        (short, interleaved), (long, pairs) = found, longer
        if short.scale != long.scale or interleaved != pairs:
            return None
        return replace(short, long=long.frequencies, border=factors.border), interleaved

    def _fit(self, region: Region, length: int, offset: int = 0) -> tuple[Rotation, bool] | None:
        """What a region does to texts of a length, whose positions are given with an offset."""
        places = [0, 1, 2, 5, 63, length // 2, length - 1]
        positions = np.minimum(np.array(places, np.int64), length - 1)
        (axis,) = region.source.token_axes
        shape = [
            _TOKENS if place == axis else size for place, size in enumerate(region.source.shape)
        ]
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)  # type: ignore[arg-type]
        ids = self._graph.input(POSITIONS)
        assert ids is not None
        if self._trial is None:
            self._trial = Trial(self._graph, _TOKENS, 0)
        given = {region.source: x, ids: positions[None] + offset}
        found = self._trial.run([region.result], given)
        if found is None:
            return None
        rows, turned = np.moveaxis(x, axis, 1)[0], np.moveaxis(found[0], axis, 1)[0]
        limits = np.where(positions < _LOW, _NEAR, _FAR)[:, None, None]
        for rotation, interleaved in self._candidates(region, rows, turned):
            wanted = rotate(rows, positions, rotation, interleaved=interleaved)
            if (np.abs(wanted - turned) <= limits * max(1.0, abs(rotation.scale))).all():
                return rotation, interleaved
        return None

    def _candidates(
        self, region: Region, rows: NDArray[Any], turned: NDArray[Any]
    ) -> Iterator[tuple[Rotation, bool]]:
        """Rotations by frequencies that stand in the graph; the scale is that of position 0."""
        arrays = [self._constants.array(value) for value in region.constants()]
        numbers = [array.astype(np.float32).ravel() for array in arrays if array.dtype.kind == "f"]
        scalars = [float(array[0]) for array in numbers if array.size == 1]
        for frequencies in _distinct(numbers, rows.shape[-1] // 2):
            width = len(frequencies)
            for interleaved in (False, True):
                part = rows[0, :, : 2 * width]
                ratio = float((part * turned[0, :, : 2 * width]).sum() / np.square(part).sum())
                near = [one for one in (1.0, *scalars) if abs(one - ratio) <= _NEAR * abs(ratio)]
                for sign in (1, -1):
                    scale = near[0] if near else ratio
                    yield Rotation(sign * frequencies, scale), interleaved


def rotate(
    rows: NDArray[np.float32],
    positions: NDArray[np.int64],
    rotation: Rotation,
    *,
    interleaved: bool,
) -> NDArray[np.float32]:
    """Rows [T, heads, D], of which the first ones of each head are turned."""
    angles = positions[:, None].astype(np.float32) * rotation.frequencies
    cosines = (np.cos(angles) * rotation.scale)[:, None]
    sines = (np.sin(angles) * rotation.scale)[:, None]
    width = len(rotation.frequencies)
    places = np.arange(2 * width)
    low, high = (places[::2], places[1::2]) if interleaved else (places[:width], places[width:])
    turned: NDArray[np.float32] = rows.copy()
    turned[..., low] = rows[..., low] * cosines - rows[..., high] * sines
    turned[..., high] = rows[..., high] * cosines + rows[..., low] * sines
    return turned


def _reads_positions(region: Region) -> bool:
    return any(node.name == POSITIONS for node in region.nodes)


def _distinct(arrays: list[NDArray[np.float32]], most: int) -> Iterator[NDArray[np.float32]]:
    """Arrays that may be frequencies: of at most so many numbers, or these twice."""
    for array in arrays:
        half = array.size // 2
        if 1 < array.size <= most:
            yield array
        if array.size % 2 == 0 and half > 1:
            if np.array_equal(array[:half], array[half:]):
                yield array[:half]
            if np.array_equal(array[::2], array[1::2]):
                yield array[::2]
