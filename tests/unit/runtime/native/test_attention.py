"""Paged attention of every path, against f64, against each other, and cut in many ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.native_attention import BF16, F16, F32, INT8, LOSS, UINT4, Layer, Texts

from nanoaccel.runtime.native import find_operators

OPERATORS = find_operators()
pytestmark = pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason)
PATHS = OPERATORS.paths
TYPES = {"f32": F32, "f16": F16, "bf16": BF16, "int8": INT8, "uint4": UINT4}


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    """Layers of all kinds."""
    kv_heads = draw(st.integers(1, 3))
    size = draw(st.sampled_from([16, 32, 48, 64, 80, 96, 128, 256]))
    return Layer(
        heads=kv_heads * draw(st.sampled_from([1, 2, 3, 4, 7, 8, 40])),
        kv_heads=kv_heads,
        head_size=size,
        block_size=draw(st.sampled_from([16, 32, 64, 128])),
        cache_type=draw(st.sampled_from([*TYPES.values()])),
        rotated=draw(st.sampled_from([0, 8, size // 2, size])),
        interleaved=draw(st.booleans()),
        window=draw(st.sampled_from([0, 0, 1, 5, 40, 200])),
        softcap=draw(st.sampled_from([0.0, 0.0, 5.0])),
        sinks=draw(st.booleans()),
        slopes=draw(st.booleans()),
        norms=draw(st.booleans()),
    )


def same_bits(found: np.ndarray, wanted: np.ndarray) -> bool:
    return np.array_equal(found.view(np.int32), wanted.view(np.int32))


def cut(draw: st.DrawFn, texts: Texts) -> list[dict[int, int]]:
    """Passes that compute all tokens: some sequences each, in any order, with any number."""
    left, passes = dict(enumerate(texts.lengths)), []
    while left:
        chosen = draw(st.lists(st.sampled_from(sorted(left)), min_size=1, unique=True))
        counts = {}
        for index in chosen:
            counts[index] = min(left[index], draw(st.sampled_from([1, 2, 8, 33, 1000])))
            left[index] -= counts[index]
        left = {index: count for index, count in left.items() if count > 0}
        passes.append(counts)
    return passes


def run_all(
    texts: Texts, path: str, passes: list[dict[int, int]], parts: int = 1
) -> list[np.ndarray]:
    """What each sequence gets in some passes."""
    found: list[list[np.ndarray]] = [[] for _ in texts.all]
    for text in texts.all:
        text.done = 0
    for counts in passes:
        for index, rows in zip(counts, texts.run(path, counts, parts=parts), strict=True):
            found[index].append(rows)
    return [np.concatenate(rows) for rows in found]


@settings(max_examples=40, deadline=None)
@given(layers(), st.lists(st.integers(1, 150), min_size=1, max_size=3), st.data())
@pytest.mark.parametrize("path", PATHS)
def test_attention_equals_f64_arithmetic(
    path: str, layer: Layer, lengths: list[int], data: st.DataObject
) -> None:
    texts = Texts(layer, lengths, data.draw(st.integers(0, 1 << 30)), offset=64)
    found = run_all(texts, path, cut(data.draw, texts), data.draw(st.integers(1, 9)))
    for index, rows in enumerate(found):
        wanted = texts.reference(index)
        most = np.abs(texts.all[index].values).max()
        assert np.abs(rows - wanted).max() <= LOSS[layer.cache_type] * most


@settings(max_examples=30, deadline=None)
@given(layers(), st.lists(st.integers(1, 400), min_size=1, max_size=4), st.data())
@pytest.mark.parametrize("path", [name for name in PATHS if name != "scalar"])
def test_attention_of_a_token_is_the_same_bits_in_any_company(
    path: str, layer: Layer, lengths: list[int], data: st.DataObject
) -> None:
    texts = Texts(layer, lengths, data.draw(st.integers(0, 1 << 30)))
    alone = [texts.whole(path, index) for index in range(len(lengths))]
    texts.cache[...] = 0
    passes = cut(data.draw, texts)
    for wanted, found in zip(
        alone, run_all(texts, path, passes, data.draw(st.integers(1, 9))), strict=True
    ):
        assert same_bits(found, wanted)


@settings(max_examples=25, deadline=None)
@given(layers(), st.integers(1, 200), st.integers(0, 1 << 30))
def test_attention_is_the_same_bits_on_every_path(layer: Layer, length: int, seed: int) -> None:
    texts = Texts(layer, [length], seed)
    first, *others = (texts.whole(path, 0) for path in PATHS)
    for other in others:
        assert same_bits(other, first)


@pytest.mark.parametrize("kind", TYPES)
def test_attention_of_a_long_context_is_the_same_bits_however_it_is_divided(kind: str) -> None:
    layer = Layer(heads=9, kv_heads=3, cache_type=TYPES[kind], rotated=64)
    texts = Texts(layer, [3000])
    wanted = texts.whole(PATHS[0], 0)
    for parts in (1, 2, 8, 64):
        texts.all[0].done = 2990
        (found,) = texts.run(PATHS[0], {0: 10}, parts=parts)
        assert same_bits(found, wanted[2990:])


@pytest.mark.parametrize("kind", TYPES)
def test_attention_overwrites_what_is_rolled_back(kind: str) -> None:
    texts = Texts(Layer(cache_type=TYPES[kind], rotated=64), [70])
    text = texts.all[0]
    wanted = texts.whole(PATHS[0], 0)
    right = text.keys.copy(), text.values.copy()
    text.keys[41:] = np.inf
    text.values[41:] = np.nan
    text.done = 41
    texts.run(PATHS[0], {0: 20})
    text.keys[...], text.values[...] = right
    text.done = 41
    found = [*texts.run(PATHS[0], {0: 8}), *texts.run(PATHS[0], {0: 21})]
    assert same_bits(np.concatenate(found), wanted[41:])


@settings(max_examples=20, deadline=None)
@given(layers(), st.lists(st.integers(1, 300), min_size=1, max_size=3), st.data())
@pytest.mark.parametrize("path", PATHS)
def test_attention_tells_what_tokens_draw_exactly_alike_however_texts_are_cut(
    path: str, layer: Layer, lengths: list[int], data: st.DataObject
) -> None:
    texts = Texts(replace(layer, cache_type=F32), lengths, data.draw(st.integers(0, 1 << 30)))
    texts.scored = np.empty(0)
    totals = [np.zeros(length) for length in lengths]
    for counts in cut(data.draw, texts):
        ends = {index: texts.all[index].done + count for index, count in counts.items()}
        texts.run(path, counts, parts=data.draw(st.integers(1, 9)))
        pieces = np.split(texts.scored, np.cumsum([*ends.values()])[:-1])
        for (index, end), scores in zip(ends.items(), pieces, strict=True):
            totals[index][:end] += scores
    for index, total in enumerate(totals):
        texts.whole(path, index)
        assert np.array_equal(total, texts.scored)
        np.testing.assert_allclose(total, texts.weights(index)[0].sum((0, 1)), rtol=1e-5, atol=3e-4)


def test_attention_keeps_a_sequence_from_the_numbers_of_another() -> None:
    texts = Texts(Layer(cache_type=BF16), [40, 40])
    wanted = texts.whole(PATHS[0], 0)
    texts.all[1].values[...] = np.nan
    texts.all[0].done = 0
    found, _ = texts.run(PATHS[0], {0: 40, 1: 40})
    assert same_bits(found, wanted)


def test_attention_keeps_4_bits_between_the_least_and_the_highest_of_a_group() -> None:
    texts = Texts(Layer(head_size=80, cache_type=UINT4), [1])
    (text,) = texts.all
    text.values += 3
    found = texts.whole(PATHS[0], 0).reshape(2, 3, 80)[:, 0]
    for begin in (0, 32, 64):
        group = text.values.reshape(2, 80)[:, begin : begin + 32]
        step = np.ptp(group, axis=1, keepdims=True) / 15
        assert (np.abs(found[:, begin : begin + 32] - group) <= 0.52 * step).all()


def _first(value: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: np.concatenate([array.dtype.type([value]), array[1:]])


def _last(value: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: np.append(array[:-1], array.dtype.type(value))


MALFORMED = {
    "a block is beyond the cache": {"blocks": _first(1000)},
    "a block is": {"blocks": _last(-1)},
    "block_begins do not ascend": {"block_begins": _last(3)},
    "block_begins do": {"block_begins": _first(-1)},
    "seq_begins do not ascend": {"begins": _last(9)},
    "too few blocks": {"pasts": _last(30)},
    "a sequence has too": {"pasts": _first(-1)},
    "a position is beyond": {"positions": _last(1000)},
    "a position is": {"positions": _first(-1)},
    "the cache's blocks are too small": {"block_bytes": lambda size: size - 4},
    "the cache's blocks have": {"block_bytes": lambda size: size + 1},
}


@pytest.mark.parametrize("message", MALFORMED)
def test_attention_refuses_tables_that_lead_out_of_bounds(message: str) -> None:
    texts = Texts(Layer(rotated=64), [40, 50])
    with pytest.raises(ValueError, match=message):
        texts.run(PATHS[0], {0: 40, 1: 50}, **MALFORMED[message])
    assert (texts.cache == 0x7F).all()


UNFIT = {
    "head_size is no multiple": {"head_size": 40},
    "head_size is": {"head_size": 272},
    "block_size is": {"block_size": 24},
    "num_heads is no multiple": {"heads": 7},
    "tables of cosines and sines": {"rotated": 66},
    "window is negative": {"window": -1},
    "cache_type is none": {"cache_type": 2},
}


@pytest.mark.parametrize("message", UNFIT)
def test_attention_refuses_a_layer_that_it_cannot_compute(message: str) -> None:
    texts = Texts(Layer(rotated=32), [20])
    change = {name: lambda _, value=value: value for name, value in UNFIT[message].items()}
    with pytest.raises(ValueError, match=message):
        texts.run(PATHS[0], {0: 20}, **change)
