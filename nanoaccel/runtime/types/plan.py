"""All that passes between the engine and a backend in one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Int32Array: TypeAlias = NDArray[np.int32]
Int64Array: TypeAlias = NDArray[np.int64]
Float32Array: TypeAlias = NDArray[np.float32]
Float64Array: TypeAlias = NDArray[np.float64]
Scores: TypeAlias = Float32Array | Float64Array


@dataclass(frozen=True, slots=True)
class StateTable:
    """Which recurrent states the sequences of a step read and write, where a graph has some.

    A state is what layers of convolutions and recurrences know of a text, in a slot of the backend.
    Each sequence reads one slot, and its state is written where ``offset`` + 1 + t is a multiple of
    ``interval``, t counting its tokens of this step from 0, and behind its last token: to its
    other slots, one after the other. No slot is both read and written, or written twice.

    Args:
        slots: i32[M], of all sequences, one after the other: the slot that is read, 0 before the
            first token, then those that are written.
        begins: i32[B+1]; sequence b owns ``slots[begins[b]:begins[b+1]]``.
        intervals: i32[B].
        offsets: i32[B], each less than its interval.
    """

    slots: Int32Array
    begins: Int32Array
    intervals: Int32Array
    offsets: Int32Array


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A ragged batch: T tokens of B sequences, packed without padding.

    A sequence brings one token (a decode) or many (a chunk of its prompt); what stands before them
    is in its blocks already. Passing a smaller ``past_lens`` than before rolls a sequence back:
    what lies behind is overwritten. Leaving full blocks out of a sequence's table forgets their
    tokens: ``past_lens`` is less by as many, positions go on as in the text.

    The arrays are the caller's, who may reuse their memory after the step.

    Args:
        token_ids: i64[T].
        positions: i64[T], position of each token in its text, from 0; without a gap in a step.
            Those of a long text have an offset where the graph tells it so (``LongFactors``).
        seq_begins: i32[B+1]; sequence b owns tokens ``seq_begins[b]:seq_begins[b+1]``.
        past_lens: i32[B], tokens of each sequence that are cached.
        block_ids: i32[N], the cache blocks of all sequences, one after the other.
        block_begins: i32[B+1]; sequence b owns ``block_ids[block_begins[b]:block_begins[b+1]]``.
        logits_rows: i64[R], the tokens (0..T-1) whose logits are wanted; R may be 0.
        features: f32[T, F], what a head reads besides tokens; None for other graphs.
        states: Whether the states of all tokens are wanted.
        recurrent: Where recurrent states are; None, or of no use, to graphs without.
        adapters: i32[B], the slot of the adapter that each sequence is computed with, -1 for none;
            None where no sequence has one (``AdapterHolder``).
        pad_to: Tokens that the pass may have, T or more: a size that the backend is prepared for.
            What it computes beyond T is nobody's.
    """

    token_ids: Int64Array
    positions: Int64Array
    seq_begins: Int32Array
    past_lens: Int32Array
    block_ids: Int32Array
    block_begins: Int32Array
    logits_rows: Int64Array
    features: Float32Array | None = None
    states: bool = False
    recurrent: StateTable | None = None
    adapters: Int32Array | None = None
    pad_to: int = 0

    @property
    def num_pads(self) -> int:
        """Tokens that the pass is padded with."""
        return max(0, self.pad_to - len(self.token_ids))

    @property
    def num_computed(self) -> int:
        """Tokens of the pass, those that it is padded with among them."""
        return len(self.token_ids) + self.num_pads


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a backend gives back.

    Args:
        logits: f32[R, V], a row for each of ``logits_rows``. The memory is the backend's and is
            valid until its next ``forward``; the engine may write to it until then.
        scores: f32 or f64 [S], for each sequence in order its cached and its new tokens: the
            attention that each of them drew in this step, after softmax, summed over the new
            tokens, layers and heads (what H2O, Zhang et al. 2023, accumulates). None unless the
            backend was asked for it. Valid as long as ``logits``.
        hidden: f32[T, F], for each token what the layers gave that the backend was asked for, side
            by side. None unless it was. Valid as long as ``logits``.
        states: f32[T, H], for each token what the last projection makes logits of: the last layer's
            output, normalized. None unless the plan wants them. Valid as long as ``logits``.
        likeliest: i64[R], for each row of ``logits`` the index of its largest number, of equal ones
            the first, or of its first NaN. None where the backend does not work it out.
    """

    logits: Float32Array
    scores: Scores | None = None
    hidden: Float32Array | None = None
    states: Float32Array | None = None
    likeliest: Int64Array | None = None

    def likeliest_of(self, first: int, last: int) -> list[int]:
        """What ``likeliest`` has for the rows up to ``last``; nothing where it is None."""
        return [] if self.likeliest is None else self.likeliest[first:last].tolist()
