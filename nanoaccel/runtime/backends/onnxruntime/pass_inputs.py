"""The inputs of a packed graph, for passes that are alike in all but their values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.runtime.backends.onnxruntime.runs import Run
from nanoaccel.runtime.backends.onnxruntime.signature import Signature
from nanoaccel.runtime.types.plan import Int64Array, StepPlan


class PassInputs:
    """Arrays that stay where they are, so that they are bound once for all passes of a shape.

    Args:
        signature: Signature of the graph.
        run: The slots that the pass covers.
        rows: The slot of each sequence, from the first of the run.
        counts: Tokens of each sequence.
        wanted: The tokens whose logits are wanted.
        features: Numbers that a head reads for each token.

    Attributes:
        arrays: All inputs but the cache, by name.
    """

    def __init__(
        self,
        signature: Signature,
        run: Run,
        rows: NDArray[Any],
        counts: NDArray[Any],
        wanted: Int64Array,
        features: int,
    ) -> None:
        total = int(counts.sum())
        batch = contract.PaddedBatch(rows, counts, run.num_slots)
        self._rows, self._counts, self._batch = rows, counts, batch
        self.arrays: dict[str, NDArray[Any]] = {
            contract.INPUT_IDS: np.empty((1, total), np.int64),
            contract.QUERY_MAP: batch.query_map,
            contract.TOKEN_MAP: batch.token_map,
            contract.SEQLENS_K: np.zeros(run.num_slots, np.int32),
            contract.QUERY_SEQLENS: batch.query_seqlens,
            contract.TOTAL_LENGTH: np.zeros((), np.int32),
            # A product of no row is not worth a special case to it.
            contract.LOGITS_ROWS: wanted if len(wanted) > 0 else np.zeros(1, np.int64),
        }
        if contract.ROW_POSITIONS in signature.inputs:
            self.arrays[contract.ROW_POSITIONS] = np.zeros((run.num_slots, run.longest), np.int64)
        if contract.POSITIONS in signature.inputs:
            self.arrays[contract.POSITIONS] = np.empty((1, total), np.int64)
        if contract.FEATURES in signature.inputs:
            self.arrays[contract.FEATURES] = np.empty((1, total, features), np.float32)

    def fill(self, plan: StepPlan, order: NDArray[Any] | slice, tokens: Int64Array | slice) -> None:
        """Write the values of a step: of its sequences ``order``, whose tokens are ``tokens``."""
        arrays, batch, positions = self.arrays, self._batch, plan.positions[tokens]
        lengths = plan.past_lens[order] + self._counts
        arrays[contract.INPUT_IDS][0] = plan.token_ids[tokens]
        arrays[contract.SEQLENS_K][self._rows] = lengths - 1
        arrays[contract.TOTAL_LENGTH][...] = lengths.max()
        if contract.ROW_POSITIONS in arrays:
            arrays[contract.ROW_POSITIONS][batch.row_of_token, batch.column_of_token] = positions
        if contract.POSITIONS in arrays:
            arrays[contract.POSITIONS][0] = positions
        if contract.FEATURES in arrays:
            assert plan.features is not None, "the graph of a head reads features"
            arrays[contract.FEATURES][0] = plan.features[tokens]
