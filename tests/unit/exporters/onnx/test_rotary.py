"""Rotations are known by what they do to numbers, however they are spelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

ov = pytest.importorskip("openvino")
pytest.importorskip("onnx_ir")

from openvino import opset13 as ops  # noqa: E402
from support.traced_sketches import Inputs, decoder  # noqa: E402

from nanoaccel.bundle.long_factors import RUNTIME_INFO, LongFactors  # noqa: E402
from nanoaccel.exporters.targets.onnx.patterns.rotary import Rotated, Rotations  # noqa: E402
from nanoaccel.exporters.targets.onnx.source.constants import Constants  # noqa: E402
from nanoaccel.exporters.targets.onnx.source.graph import read_graph  # noqa: E402
from nanoaccel.exporters.targets.onnx.source.trial import find_sizes  # noqa: E402

HEADS, SIZE, CONTEXT = 4, 8, 500
FREQUENCIES = (100.0 ** -np.linspace(0, 1, SIZE // 2)).astype(np.float32)
LONG = FREQUENCIES / np.float32(3)
FACTORS = LongFactors(border=100, offset=CONTEXT)


def c(*numbers: int) -> Any:
    return ops.constant(np.array(numbers, np.int64))


def cut(x: Any, begin: int, end: int, step: int = 1) -> Any:
    return ops.slice(x, c(begin), c(end), c(step), c(3))


def angles(inputs: Inputs, frequencies: np.ndarray) -> Any:
    places = ops.convert(ops.unsqueeze(inputs.positions, c(1, 3)), "f32")
    return ops.multiply(places, ops.constant(frequencies[None, None, None]))


def halves(x: Any, inputs: Inputs, *, size: int = SIZE, scale: float = 1.0) -> Any:
    """``x * cos + rotate_half(x) * sin`` of the first numbers."""
    turning = ops.concat([angles(inputs, FREQUENCIES[: size // 2])] * 2, -1)
    cosines, sines = (
        ops.multiply(kind(turning), ops.constant(np.float32(scale))) for kind in (ops.cos, ops.sin)
    )
    part = x if size == SIZE else cut(x, 0, size)
    turned = ops.concat([ops.negative(cut(part, size // 2, size)), cut(part, 0, size // 2)], -1)
    found = ops.add(ops.multiply(part, cosines), ops.multiply(turned, sines))
    return found if size == SIZE else ops.concat([found, cut(x, size, SIZE)], -1)


def pairs(x: Any, inputs: Inputs) -> Any:
    turning = angles(inputs, FREQUENCIES)
    even, odd = cut(x, 0, SIZE, 2), cut(x, 1, SIZE, 2)
    first = ops.subtract(ops.multiply(even, ops.cos(turning)), ops.multiply(odd, ops.sin(turning)))
    second = ops.add(ops.multiply(odd, ops.cos(turning)), ops.multiply(even, ops.sin(turning)))
    apart = [ops.unsqueeze(one, c(4)) for one in (first, second)]
    return ops.reshape(ops.concat(apart, -1), c(0, 0, 0, SIZE), True)


def by_length(x: Any, inputs: Inputs) -> Any:
    """Halves, by the frequencies of long texts where positions have the offset."""
    places, offset = (
        ops.unsqueeze(inputs.positions, c(1, 3)),
        ops.constant(np.int64(FACTORS.offset)),
    )
    told = ops.greater_equal(places, offset)
    places = ops.convert(ops.select(told, ops.subtract(places, offset), places), "f32")
    both = [ops.constant(one[None, None, None]) for one in (LONG, FREQUENCIES)]
    turning = ops.concat([ops.multiply(places, ops.select(told, *both))] * 2, -1)
    turned = ops.concat([ops.negative(cut(x, SIZE // 2, SIZE)), cut(x, 0, SIZE // 2)], -1)
    cosines, sines = ops.cos(turning), ops.sin(turning)
    return ops.add(ops.multiply(x, cosines), ops.multiply(turned, sines))


def growing(x: Any, inputs: Inputs) -> Any:
    """Queries that grow with their position count as what they are: no rotation."""
    places = ops.convert(ops.unsqueeze(inputs.positions, c(1, 3)), "f32")
    factor = ops.floor(ops.multiply(places, ops.constant(np.float32(1 / 100))))
    return ops.multiply(halves(x, inputs), ops.add(factor, ops.constant(np.float32(1))))


def found(
    rotate: Callable[[Any, Inputs], Any], factors: LongFactors | None = None
) -> Rotated | None:
    def middle(x: Any, inputs: Inputs) -> Any:
        heads = ops.transpose(ops.reshape(x, c(0, 0, HEADS, SIZE), True), c(0, 2, 1, 3))
        turned = rotate(heads, inputs)
        turned.set_friendly_name("turned")
        return ops.reshape(ops.transpose(turned, c(0, 2, 1, 3)), c(0, 0, HEADS * SIZE), True)

    model = decoder(middle)
    if factors is not None:
        model.set_rt_info(str(factors), RUNTIME_INFO)
    graph = read_graph(model)
    find_sizes(graph)
    value = next(node.out for node in graph.nodes if node.name == "turned")
    return Rotations(graph, Constants(graph), CONTEXT).find(value)


def test_halves_are_turned() -> None:
    one = found(halves)
    assert one is not None
    assert (one.interleaved, one.rotation.scale) == (False, 1.0)
    np.testing.assert_array_equal(one.rotation.frequencies, FREQUENCIES)
    assert one.source.node.kind == "Transpose"


def test_pairs_are_turned() -> None:
    one = found(pairs)
    assert one is not None
    assert one.interleaved
    np.testing.assert_array_equal(one.rotation.frequencies, FREQUENCIES)


def test_a_part_of_a_head_is_turned_and_scaled() -> None:
    one = found(lambda x, inputs: halves(x, inputs, size=4, scale=1.25))
    assert one is not None
    assert one.rotation.scale == 1.25
    np.testing.assert_array_equal(one.rotation.frequencies, FREQUENCIES[:2])


def test_long_texts_are_turned_by_their_own_frequencies() -> None:
    one = found(by_length, FACTORS)
    assert one is not None
    np.testing.assert_array_equal(one.rotation.frequencies, FREQUENCIES)
    np.testing.assert_array_equal(one.rotation.long, LONG)
    assert one.rotation.border == FACTORS.border


def test_what_is_no_rotation_is_none() -> None:
    assert found(growing) is None
    assert found(lambda x, _: ops.multiply(x, ops.constant(np.float32(2)))) is None
