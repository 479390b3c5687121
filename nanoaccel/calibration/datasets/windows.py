"""Tokens of documents, packed and cut into windows.

documents   |---A---|-B-|------C------|--D--|        one after another
windows     |---|---|---|---|---|---|---|---|        of one length; the rest is left
parts       |<-------- samples ------->|<-held->|    by the shares that were chosen
chosen        *      *       *     *     *    *      one, by the seed, in each equal stretch
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nanoaccel.calibration.datasets.encoder import TextEncoder
from nanoaccel.calibration.datasets.rows import Document


@dataclass(frozen=True, slots=True)
class PackedTokens:
    """Tokens of documents, one after another.

    Args:
        ids: i64[T].
        documents: How many they come from.
        whole: Whether these were all the documents.
    """

    ids: NDArray[np.int64]
    documents: int
    whole: bool


def pack(documents: Iterable[Document], encoder: TextEncoder, enough: int | None) -> PackedTokens:
    """Encode documents until there are ``enough`` tokens; None is all of them."""
    parts: list[NDArray[np.int64]] = []
    count = 0
    for document in documents:
        if enough is not None and count >= enough:
            return PackedTokens(np.concatenate(parts), len(parts), whole=False)
        parts.append(np.array(_encode(document, encoder), np.int64))
        count += len(parts[-1])
    ids = np.concatenate(parts) if parts else np.empty(0, np.int64)
    return PackedTokens(ids, len(parts), whole=True)


def choose_windows(
    total: int, samples: int, held_out: int, seed: int
) -> tuple[list[int], list[int]]:
    """Choose windows out of ``total``, spread over all of them.

    Returns:
        Places of the samples and of the held-out ones, ascending; all held-out ones lie behind
        all samples.
    """
    assert total >= samples + held_out
    border = total * samples // (samples + held_out)
    chance = random.Random(seed)
    return _spread(0, border, samples, chance), _spread(border, total, held_out, chance)


def cut(
    ids: NDArray[np.int64], number: int, length: int, begin_ids: Sequence[int]
) -> NDArray[np.int64]:
    """One window, i64[length], shorter at the end of the text.

    The model saw no text without its first tokens (BOS), and some lose their wits without them.
    They take the place of the window's own first tokens, which nothing predicts anyway.
    """
    window: NDArray[np.int64] = ids[number * length : (number + 1) * length].copy()
    window[: len(begin_ids)] = begin_ids[: len(window)]
    return window


def _spread(begin: int, end: int, count: int, chance: random.Random) -> list[int]:
    """One number out of each of ``count`` equal ranges."""
    size = end - begin
    edges = [begin + size * index // count for index in range(count)] + [end]
    # random() alone is promised to give the same numbers in every version of Python.
    return [low + int(chance.random() * (high - low)) for low, high in pairwise(edges)]


def _encode(document: Document, encoder: TextEncoder) -> list[int]:
    rendered = encoder.render(document.messages) if document.messages else None
    return encoder.encode(document.text if rendered is None else rendered)
