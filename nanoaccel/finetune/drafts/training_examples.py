"""Training examples on disk: what the target computed for each token of a text."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nanoaccel.finetune.drafts.corpus import Text
from nanoaccel.runtime.backends import Backend
from nanoaccel.runtime.types.packing import BlockLists, SequenceTokens, StepPacker
from nanoaccel.runtime.types.plan import StepPlan

_LIKELIEST = 32  # tokens of the target's distribution that are kept
_CHUNK = 128  # tokens in a pass
_DONE = "done.json"


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A text of T tokens with the target's states and predictions.

    Args:
        tokens: i32[T], rows of the vocabulary; ``len(vocabulary)`` for all others.
        features: f16[T, L * H], each layer's states scaled to a mean square of 1.
        likeliest: i32[T, K], rows of the vocabulary that the target gave the most, best first;
            zeros where it is not taught.
        chances: f16[T, K], what it gave them.
        taught: bool[T], those whose successor the target wrote.
    """

    tokens: NDArray[Any]
    features: NDArray[Any]
    likeliest: NDArray[Any]
    chances: NDArray[Any]
    taught: NDArray[Any]


def choose_vocabulary(texts: Sequence[Text], size: int, vocab_size: int) -> list[int]:
    """The tokens that a target writes most often (FR-Spec, Zhao et al. 2025), sorted by id.

    Rare ones are filled up from the beginning, where tokenizers keep short and frequent tokens.
    """
    counts = Counter(token for text in texts for token in text.answer)
    common = [token for token, _ in counts.most_common(size)]
    known = set(common)
    rest = (token for token in range(vocab_size) if token not in known)
    return sorted([*common, *(next(rest) for _ in range(min(size, vocab_size) - len(common)))])


class ExampleFolder:
    """The training examples of a folder.

    Args:
        folder: Where they are, or shall be.
        width: L * H of the features; 0 for a draft that reads none.
        vocab_size: Tokens that the draft can propose.
        likeliest: Tokens that are kept for each position, if there are so many.
        chunk: Tokens that the target reads at once.
    """

    def __init__(
        self,
        folder: Path,
        width: int,
        vocab_size: int,
        *,
        likeliest: int = _LIKELIEST,
        chunk: int = _CHUNK,
    ) -> None:
        self._folder = folder
        self._chunk = chunk
        self._likeliest = count = min(likeliest, vocab_size)
        self._columns: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
            "tokens": (np.int32, ()),
            "features": (np.float16, (width,)),
            "likeliest": (np.int32, (count,)),
            "chances": (np.float16, (count,)),
            "taught": (np.bool_, ()),
        }

    def write(
        self,
        texts: Sequence[Text],
        backend: Backend,
        *,
        vocabulary: Sequence[int],
        num_layers: int,
        progress: Callable[[int], None],
    ) -> None:
        """Run the target over texts; those that an earlier run finished are not run again.

        Args:
            texts: To learn from.
            backend: The target, asked for hidden states; its cache holds the longest text.
            vocabulary: Tokens that the head can propose.
            num_layers: L.
            progress: Called with the tokens so far.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        ends = self._ends()
        files = {name: self._open(name, ends[-1] if ends else 0) for name in self._columns}
        rows = np.full(backend.info.vocab_size, len(vocabulary), np.int32)
        rows[list(vocabulary)] = np.arange(len(vocabulary))
        try:
            for text in texts[len(ends) :]:
                example = self._read(text, backend, vocabulary, rows, num_layers)
                for name, file in files.items():
                    file.write(np.ascontiguousarray(getattr(example, name)).tobytes())
                    file.flush()
                ends.append((ends[-1] if ends else 0) + len(example.tokens))
                (self._folder / _DONE).write_text(json.dumps(ends))
                progress(ends[-1])
        finally:
            for file in files.values():
                file.close()

    def _read(
        self,
        text: Text,
        backend: Backend,
        vocabulary: Sequence[int],
        rows: NDArray[np.int32],
        num_layers: int,
    ) -> TrainingExample:
        """The target's states and predictions for a text."""
        ids = np.array([*text.prompt, *text.answer], np.int64)
        taught = np.zeros(len(ids), bool)
        taught[max(len(text.prompt) - 1, 0) : -1] = True
        likeliest = np.zeros((len(ids), self._likeliest), np.int32)
        chances = np.zeros((len(ids), self._likeliest), np.float16)
        features = []
        for start in range(0, len(ids), self._chunk):
            chunk = slice(start, start + self._chunk)
            asked = np.flatnonzero(taught[chunk])
            result = backend.forward(_plan(ids[chunk], start, asked, backend.info.block_size))
            features.append(_scaled(result.hidden, num_layers, len(ids[chunk])))
            if len(asked) > 0:
                best = _best(result.logits, vocabulary, self._likeliest)
                likeliest[start + asked], chances[start + asked] = best
        return TrainingExample(rows[ids], np.concatenate(features), likeliest, chances, taught)

    def __iter__(self) -> Iterator[TrainingExample]:
        """All examples, mapped from disk."""
        ends = self._ends()
        maps = {name: self._map(name, ends[-1]) for name in self._columns}
        for start, end in zip([0, *ends], ends, strict=False):
            yield TrainingExample(**{name: column[start:end] for name, column in maps.items()})

    def _ends(self) -> list[int]:
        try:
            return list(json.loads((self._folder / _DONE).read_text()))
        except (OSError, ValueError):
            return []

    def _map(self, name: str, length: int) -> NDArray[Any]:
        kind, shape = self._columns[name]
        if 0 in shape:
            return np.empty((length, *shape), kind)
        column: NDArray[Any] = np.memmap(self._folder / name, kind, "r", shape=(length, *shape))
        return column

    def _open(self, name: str, done: int) -> BinaryIO:
        """A column's file, cut behind what is done, to write on."""
        kind, shape = self._columns[name]
        path = self._folder / name
        path.touch()
        file = path.open("r+b")
        file.truncate(done * math.prod(shape) * np.dtype(kind).itemsize)
        file.seek(0, 2)
        return file


def _plan(
    ids: NDArray[np.int64], start: int, asked: NDArray[np.int64], block_size: int
) -> StepPlan:
    blocks = BlockLists([range(-(-(start + len(ids)) // block_size))])
    first = int(asked[0]) if len(asked) > 0 else 0  # those behind it follow without a gap
    return StepPacker().pack([SequenceTokens(0, ids, start, start, len(asked), first)], blocks)


def _scaled(hidden: NDArray[np.float32] | None, num_layers: int, num_tokens: int) -> NDArray[Any]:
    """Each layer's states with a mean square of 1: raw ones do not fit f16."""
    if hidden is None:
        return np.empty((num_tokens, 0), np.float16)
    states = hidden.reshape(len(hidden), num_layers, -1)
    scaled = states / np.sqrt((states**2).mean(-1, keepdims=True) + 1e-6)
    rounded: NDArray[Any] = scaled.reshape(hidden.shape).astype(np.float16)
    return rounded


def _best(
    logits: NDArray[np.float32], vocabulary: Sequence[int], count: int
) -> tuple[NDArray[np.int32], NDArray[np.float16]]:
    """The likeliest tokens of each row, best first, and their chances."""
    logits = logits - logits.max(-1, keepdims=True)
    total = np.log(np.exp(logits).sum(-1, keepdims=True))
    known = logits[:, list(vocabulary)]
    best = np.argpartition(known, -count, -1)[:, -count:]
    order = np.argsort(-np.take_along_axis(known, best, -1), -1)
    best = np.take_along_axis(best, order, -1)
    chances = np.exp(np.take_along_axis(known, best, -1) - total)
    return best.astype(np.int32), chances.astype(np.float16)
