"""The inputs of a packed graph, for passes that are alike in all but their values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.backends.onnxruntime.runs import Run
from nanoaccel.runtime.backends.onnxruntime.signature import Signature
from nanoaccel.runtime.types.plan import Int64Array, StepPlan


class PassInputs:
    """Arrays that stay where they are, so that they are bound once for all passes of a shape.

    Args:
        signature: Of the graph.
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
        ends = np.cumsum(counts)
        self._rows, self._counts = rows, counts
        self._of_token = np.repeat(rows, counts)
        self._place = np.arange(total) - np.repeat(ends - counts, counts)
        shape = (run.num_slots, run.longest)
        query_map = np.zeros((*shape, 2), np.int64)
        query_map[self._of_token, self._place, 1] = np.arange(total)
        token_map = np.stack([self._of_token, self._place], axis=-1)[None].astype(np.int64)
        new = np.zeros(run.num_slots, np.int32)
        new[rows] = counts
        self.arrays: dict[str, NDArray[Any]] = {
            "input_ids": np.empty((1, total), np.int64),
            "query_map": query_map,
            "token_map": token_map,
            "seqlens_k": np.zeros(run.num_slots, np.int32),
            "query_seqlens": new,
            "total_sequence_length": np.zeros((), np.int32),
            # A product of no row is not worth a special case to it.
            "logits_rows": wanted if len(wanted) > 0 else np.zeros(1, np.int64),
        }
        if "row_positions" in signature.inputs:
            self.arrays["row_positions"] = np.zeros(shape, np.int64)
        if "positions" in signature.inputs:
            self.arrays["positions"] = np.empty((1, total), np.int64)
        if "features" in signature.inputs:
            self.arrays["features"] = np.empty((1, total, features), np.float32)

    def fill(self, plan: StepPlan, order: NDArray[Any] | slice, tokens: Int64Array | slice) -> None:
        """Write the values of a step: of its sequences ``order``, whose tokens are ``tokens``."""
        arrays, positions = self.arrays, plan.positions[tokens]
        lengths = plan.past_lens[order] + self._counts
        arrays["input_ids"][0] = plan.token_ids[tokens]
        arrays["seqlens_k"][self._rows] = lengths - 1
        arrays["total_sequence_length"][...] = lengths.max()
        if "row_positions" in arrays:
            arrays["row_positions"][self._of_token, self._place] = positions
        if "positions" in arrays:
            arrays["positions"][0] = positions
        if "features" in arrays:
            assert plan.features is not None, "the graph of a head reads features"
            arrays["features"][0] = plan.features[tokens]
