"""A draft's own graph and cache, and the way tokens of several requests go through it together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.backends import Backend
from nanoaccel.runtime.kv import CacheShape, make_cache
from nanoaccel.runtime.types.plan import Float32Array, Int64Array, StepPlan, StepResult

_NOBODY = -1
# Tokens of a pass at least, where sizes matter: most are then alike, and need no preparing.
_LEAST = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """Tokens of one request; T of them.

    Args:
        request_id: Whose.
        place: Where the first one stands in the draft's cache; what stood there is replaced.
        position: Where it stands in the text.
        tokens: i64[T].
        features: f32[T, F], for a head.
    """

    request_id: int
    place: int
    position: int
    tokens: Int64Array
    features: Float32Array | None = None

    @property
    def end(self) -> int:
        """Place behind the last."""
        return self.place + len(self.tokens)

    @property
    def positions(self) -> Int64Array:
        """Where each stands in the text: i64[T]."""
        return np.arange(self.position, self.position + len(self.tokens))


class DraftGraph:
    """Runs a draft.

    Args:
        backend: The draft, its cache allocated; it is closed with this.
        shape: Of its cache.
    """

    def __init__(self, backend: Backend, shape: CacheShape) -> None:
        self._backend = backend
        self._cache = make_cache(shape, backend, sharing=False)

    def warm_up(self, feature_size: int = 0) -> None:
        """Run a pass, so that the first one that counts need not prepare the graph.

        Args:
            feature_size: Numbers of a row of features; 0 for none.
        """
        features = np.zeros((1, feature_size), np.float32) if feature_size > 0 else None
        rows = Rows(_NOBODY, 0, 0, np.zeros(1, np.int64), features)
        if self.has_room(rows):
            self.run([rows])
        self.forget(_NOBODY)

    def has_room(self, rows: Rows) -> bool:
        """Whether rows fit the cache; if so, they have their place from now on."""
        return self._cache.allocate(rows.request_id, rows.end)

    def run(self, batch: Sequence[Rows]) -> StepResult:
        """Compute rows that have room, with logits behind the last of each.

        Returns:
            As of a backend: logits f32[B, V], hidden f32[sum of T, H] for a head.
        """
        ends = list(accumulate(len(rows.tokens) for rows in batch))
        block_begins = [0, *accumulate(self._cache.blocks_for(rows.end) for rows in batch)]
        block_ids = np.empty(block_begins[-1], np.int32)
        for rows, begin in zip(batch, block_begins, strict=False):
            self._cache.block_ids(rows.request_id, rows.end, block_ids[begin:])
        features = [rows.features for rows in batch if rows.features is not None]
        return self._backend.forward(
            StepPlan(
                token_ids=_joined([rows.tokens for rows in batch]),
                positions=_joined([rows.positions for rows in batch]),
                seq_begins=np.array([0, *ends], np.int32),
                past_lens=np.array([rows.place for rows in batch], np.int32),
                block_ids=block_ids,
                block_begins=np.array(block_begins, np.int32),
                logits_rows=np.array(ends) - 1,
                features=_joined(features) if features else None,
                pad_to=self._backend.info.pass_size(max(_LEAST, ends[-1])),
            )
        )

    def forget(self, request_id: int) -> None:
        """Free what a request holds; one that holds nothing is fine."""
        self._cache.free(request_id)

    def close(self) -> None:
        """Free the draft. Calling it twice is fine."""
        self._backend.close()


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """One after the other; the array itself when there is only one."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
