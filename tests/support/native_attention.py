"""The compiled paged attention, called without ONNX Runtime, and what it computes in f64."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.native import find_operators

F32, INT8, F16, BF16, UINT4 = 1, 3, 10, 16, 21  # types of a cache, as ONNX numbers them
BITS = {F32: 32, INT8: 8, F16: 16, BF16: 16, UINT4: 4}
EPSILON = 1e-5
# What rounding keys and values costs, of the largest value.
LOSS = {F32: 2e-6, F16: 4e-3, BF16: 3e-2, INT8: 6e-2, UINT4: 0.6}

_INTEGERS = (
    *("heads", "kv_heads", "head_size", "block_size"),
    *("cache_type", "rotated", "interleaved", "window"),
)


class _Given(ctypes.Structure):
    _fields_ = (
        *[(name, ctypes.c_int64) for name in _INTEGERS],
        *[(name, ctypes.c_float) for name in ("scale", "softcap", "epsilon")],
        *[(name, ctypes.c_void_p) for name in ("queries", "keys", "values", "output", "scores")],
        *[(name, ctypes.c_void_p) for name in ("positions", "cosines", "sines", "sinks", "slopes")],
        *[(name, ctypes.c_void_p) for name in ("query_norm", "key_norm")],
        ("table_rows", ctypes.c_int64),
        *[(name, ctypes.c_void_p) for name in ("begins", "pasts", "blocks", "block_begins")],
        *[(name, ctypes.c_int64) for name in ("sequences", "tokens", "block_ids")],
        ("cache", ctypes.c_void_p),
        *[(name, ctypes.c_int64) for name in ("cache_blocks", "block_bytes", "offset")],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What a layer's attention is like.

    Args:
        rotated: Numbers of a head that turn with the position.
        window: Tokens that a token sees; 0 is all.
        sinks: Whether each head has a score without a value.
        slopes: Whether scores fall with the distance, in each head by a slope of its own.
        norms: Whether heads of queries and keys are normalized.
    """

    heads: int = 6
    kv_heads: int = 2
    head_size: int = 64
    block_size: int = 32
    cache_type: int = F32
    rotated: int = 0
    interleaved: bool = False
    window: int = 0
    softcap: float = 0.0
    sinks: bool = False
    slopes: bool = False
    norms: bool = False

    @property
    def scale(self) -> float:
        return float(np.float32(self.head_size**-0.5))

    @property
    def block_bytes(self) -> int:
        groups = -(-self.head_size // 32)
        scales = {INT8: 8, UINT4: 8 * groups}.get(self.cache_type, 0)
        numbers = self.head_size * BITS[self.cache_type] // 4
        return self.kv_heads * self.block_size * (numbers + scales)


@dataclass(slots=True, eq=False)
class Text:
    """A sequence: queries, keys and values of all its tokens, and where its blocks are."""

    queries: NDArray[np.float32]
    keys: NDArray[np.float32]
    values: NDArray[np.float32]
    positions: NDArray[np.int64]
    blocks: NDArray[np.int32]
    done: int = 0


@dataclass(slots=True, eq=False)
class Texts:
    """Sequences of a layer in one cache.

    Args:
        layer: The layer.
        lengths: Tokens of each.
        seed: Of the numbers, and of the order of the blocks.
        offset: Bytes of other layers in front of a block's part.
        scored: What tokens of the last pass drew; None where nobody asks for it.
    """

    layer: Layer
    lengths: list[int]
    seed: int = 0
    offset: int = 0
    all: list[Text] = field(init=False)
    cache: NDArray[np.uint8] = field(init=False)
    cosines: NDArray[np.float32] = field(init=False)
    sines: NDArray[np.float32] = field(init=False)
    sinks: NDArray[np.float32] | None = field(init=False)
    slopes: NDArray[np.float32] | None = field(init=False)
    norms: tuple[NDArray[np.float32], NDArray[np.float32]] | None = field(init=False)
    scored: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        layer, rng = self.layer, np.random.default_rng(self.seed)
        counts = [-(-length // layer.block_size) for length in self.lengths]
        order = rng.permutation(sum(counts) + 3).astype(np.int32)
        ends = np.cumsum(counts)
        self.all = []
        for length, end, count in zip(self.lengths, ends, counts, strict=True):
            sizes = (layer.heads, layer.kv_heads, layer.kv_heads)
            numbers = [_numbers(rng, length, heads * layer.head_size) for heads in sizes]
            first = int(rng.integers(0, 9))
            positions = np.arange(first, first + length)
            self.all.append(Text(*numbers, positions, order[end - count : end]))
        # What other sequences left behind.
        stride = layer.block_bytes + self.offset
        self.cache = np.full((sum(counts) + 3, stride), 0x7F, np.uint8)
        angles = np.outer(np.arange(max(self.lengths) + 9), 0.9 ** np.arange(layer.rotated // 2))
        self.cosines, self.sines = (f(angles).astype(np.float32) for f in (np.cos, np.sin))
        self.sinks = rng.normal(size=layer.heads).astype(np.float32) if layer.sinks else None
        slopes = rng.uniform(0.001, 0.5, layer.heads).astype(np.float32)
        self.slopes = slopes if layer.slopes else None
        weights = rng.uniform(0.5, 1.5, (2, layer.head_size)).astype(np.float32)
        self.norms = (weights[0], weights[1]) if layer.norms else None

    def run(
        self, path: str, counts: dict[int, int], *, parts: int = 1, **changes: Any
    ) -> list[NDArray[np.float32]]:
        """Compute the next tokens of some sequences in one pass; gives what each got.

        Args:
            counts: Tokens by sequence, in the order in which they stand.
            changes: Arguments of the library in place of the right ones.

        Raises:
            ValueError: The library refuses it.
        """
        texts = [self.all[index] for index in counts]
        spans = [slice(t.done, t.done + n) for t, n in zip(texts, counts.values(), strict=True)]
        held = [-(-span.stop // self.layer.block_size) for span in spans]
        total = sum(counts.values())
        output = np.full((total, self.layer.heads * self.layer.head_size), np.nan, np.float32)
        arrays: dict[str, NDArray[Any] | None] = {
            "queries": _packed([t.queries[s] for t, s in zip(texts, spans, strict=True)]),
            "keys": _packed([t.keys[s] for t, s in zip(texts, spans, strict=True)]),
            "values": _packed([t.values[s] for t, s in zip(texts, spans, strict=True)]),
            "output": output,
            "scores": self._scores(spans),
            "positions": _packed([t.positions[s] for t, s in zip(texts, spans, strict=True)]),
            "cosines": self.cosines,
            "sines": self.sines,
            "sinks": self.sinks,
            "slopes": self.slopes,
            "query_norm": None if self.norms is None else self.norms[0],
            "key_norm": None if self.norms is None else self.norms[1],
            "begins": np.cumsum([0, *counts.values()]).astype(np.int32),
            "pasts": np.array([span.start for span in spans], np.int32),
            "blocks": _packed([t.blocks[:n] for t, n in zip(texts, held, strict=True)]),
            "block_begins": np.cumsum([0, *held]).astype(np.int32),
            "cache": self.cache,
        }
        given: dict[str, Any] = {
            **{name: getattr(self.layer, name) for name in (*_INTEGERS, "scale", "softcap")},
            "epsilon": EPSILON,
            "table_rows": len(self.cosines),
            "sequences": len(texts),
            "tokens": total,
            "block_ids": sum(held),
            "cache_blocks": len(self.cache),
            "block_bytes": self.cache.shape[1],
            "offset": self.offset,
        }
        for name, change in changes.items():
            target = arrays if name in arrays else given
            target[name] = change(target[name])
        _call({**given, **arrays}, path, parts)
        self.scored = arrays["scores"]
        for text, count in zip(texts, counts.values(), strict=True):
            text.done += count
        return np.split(output, np.cumsum(list(counts.values()))[:-1])

    def whole(self, path: str, index: int) -> NDArray[np.float32]:
        """A sequence alone, in one pass."""
        self.all[index].done = 0
        (found,) = self.run(path, {index: self.lengths[index]})
        return found

    def _scores(self, spans: list[slice]) -> NDArray[np.float64] | None:
        return None if self.scored is None else np.full(sum(span.stop for span in spans), np.nan)

    def reference(self, index: int) -> NDArray[np.float64]:
        """What all tokens of a sequence get, in f64; keys and values are not rounded."""
        weights, values = self.weights(index)
        return np.einsum("hqk,khd->qhd", weights, values).reshape(len(values), -1)

    def weights(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights of all heads, queries and keys of a sequence, and values by head, in f64."""
        layer, text = self.layer, self.all[index]
        split = [
            rows.astype(np.float64).reshape(len(rows), -1, layer.head_size)
            for rows in (text.queries, text.keys, text.values)
        ]
        if self.norms is not None:
            for place, weights in enumerate(self.norms):
                squares = (split[place] ** 2).mean(axis=2, keepdims=True)
                split[place] = split[place] / np.sqrt(squares + EPSILON) * weights
        queries, keys = (self._rotated(rows, text.positions) for rows in split[:2])
        group = layer.heads // layer.kv_heads
        keys, values = keys.repeat(group, axis=1), split[2].repeat(group, axis=1)
        scores = np.einsum("qhd,khd->hqk", queries, keys) * layer.scale
        if layer.softcap:
            scores = layer.softcap * np.tanh(scores / layer.softcap)
        distance = np.subtract.outer(np.arange(len(keys)), np.arange(len(keys)))
        if self.slopes is not None:
            scores = scores - self.slopes.astype(np.float64)[:, None, None] * distance
        hidden = (distance < 0) | (distance >= (layer.window or len(keys)))
        scores = np.where(hidden, -np.inf, scores)
        highest = scores.max(axis=2, keepdims=True)
        weights = np.exp(scores - highest)
        sums = weights.sum(axis=2, keepdims=True)
        if self.sinks is not None:
            sums += np.exp(self.sinks.astype(np.float64)[:, None, None] - highest)
        return weights / sums, values

    def _rotated(self, x: NDArray[np.float64], positions: NDArray[np.int64]) -> NDArray[np.float64]:
        half = self.layer.rotated // 2
        out = x.copy()
        if self.layer.interleaved:
            pairs = slice(0, 2 * half, 2), slice(1, 2 * half, 2)
        else:
            pairs = slice(0, half), slice(half, 2 * half)
        a, b = (x[:, :, pair] for pair in pairs)
        cosines, sines = (table[positions][:, None] for table in (self.cosines, self.sines))
        out[:, :, pairs[0]] = a * cosines - b * sines
        out[:, :, pairs[1]] = b * cosines + a * sines
        return out


def _call(given: dict[str, Any], path: str, parts: int) -> None:
    found = find_operators().library
    assert found is not None
    library = ctypes.CDLL(str(found))
    structure = _Given()
    for name, value in given.items():
        if isinstance(value, np.ndarray):
            assert value.flags.c_contiguous
            setattr(structure, name, value.ctypes.data)
        elif value is not None:
            setattr(structure, name, value)
    problem = ctypes.create_string_buffer(200)
    done = library.nanoaccel_attention_run(
        ctypes.byref(structure),
        path.encode(),
        ctypes.c_int64(parts),
        problem,
        ctypes.c_int64(len(problem)),
    )
    if not done:
        raise ValueError(problem.value.decode())


def _numbers(rng: np.random.Generator, rows: int, width: int) -> NDArray[np.float32]:
    """Numbers of which some are large, so that some weights are, too."""
    x = rng.normal(size=(rows, width)).astype(np.float32)
    x[::7] *= 2
    return x


def _packed(pieces: list[NDArray[Any]]) -> NDArray[Any]:
    return np.ascontiguousarray(np.concatenate(pieces))
