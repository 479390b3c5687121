"""A draft's own graph and cache, and the way tokens of several requests go through it together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nanoaccel.bundle.long_factors import position_shift
from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.types.packing import SequenceTokens, StepPacker
from nanoaccel.runtime.types.plan import Float32Array, Int64Array, StepResult

_NOBODY = -1
# The first passes of a size also allocate memory.
_WARM_UPS = 3
# Tokens of a pass at least, where sizes matter: most are then alike, and need no preparing.
_LEAST = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """Tokens of one request; T of them.

    Args:
        request_id: The request.
        past: Tokens of it before them in the draft's cache; what stood behind is replaced.
        position: Position of the first one, as in a plan.
        tokens: i64[T].
        features: f32[T, F], for a head.
    """

    request_id: int
    past: int
    position: int
    tokens: Int64Array
    features: Float32Array | None = None

    @property
    def end(self) -> int:
        """Tokens in the draft's cache with them."""
        return self.past + len(self.tokens)


class DraftGraph:
    """Runs a draft.

    Args:
        model: The draft; its backend is closed with this.
    """

    def __init__(self, model: LoadedModel) -> None:
        self._backend = model.backend
        self._cache = model.shape.new_cache(sharing=False)
        self._packer = StepPacker()

    def warm_up(self, longest: int, feature_size: int = 0) -> None:
        """Run some passes, so that the first ones that count need not prepare the graph.

        Args:
            longest: Tokens of the longest pass.
            feature_size: Numbers of a row of features; 0 for none.
        """
        for count in (*[longest] * _WARM_UPS, 1):
            features = np.zeros((count, feature_size), np.float32) if feature_size > 0 else None
            rows = Rows(_NOBODY, 0, 0, np.zeros(count, np.int64), features)
            if self.has_room(rows):
                self.run([rows])
            self.forget(_NOBODY)

    def shift(self, length: int) -> int:
        """What is added to the positions of a text of so many tokens."""
        return position_shift(self._backend.info.long_factors, length)

    def has_room(self, rows: Rows) -> bool:
        """Whether rows fit the cache; if so, they hold it from now on."""
        return self._cache.allocate(rows.request_id, rows.end)

    def run(self, batch: Sequence[Rows]) -> StepResult:
        """Compute rows that have room, with logits behind the last of each.

        Returns:
            As of a backend: logits f32[B, V], hidden f32[sum of T, H] for a head.
        """
        sequences = [
            SequenceTokens(
                rows.request_id,
                rows.tokens,
                rows.position,
                rows.past,
                num_rows=1,
                first_row=len(rows.tokens) - 1,
                features=rows.features,
            )
            for rows in batch
        ]
        size = max(_LEAST, sum(len(rows.tokens) for rows in batch))
        pad_to = self._backend.info.pass_size(size)
        return self._backend.forward(self._packer.pack(sequences, self._cache, pad_to))

    def forget(self, request_id: int) -> None:
        """Free what a request holds; one that holds nothing is fine."""
        self._cache.free(request_id)

    def close(self) -> None:
        """Free the draft. Calling it twice is fine."""
        self._backend.close()
