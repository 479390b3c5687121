"""Drafts what a smaller model with the same tokenizer would write (Leviathan et al. 2023)."""

from __future__ import annotations

import numpy as np

from nanoaccel.runtime.speculation.drafters.base import Draft, DrafterContext, DrafterOptions
from nanoaccel.runtime.speculation.drafters.draft_graph import Rows
from nanoaccel.runtime.speculation.drafters.graph_drafter import GraphDrafter
from nanoaccel.runtime.speculation.drafters.opening import kind_of, open_draft_model
from nanoaccel.runtime.types.plan import Int64Array, StepResult

# Tokens that it reads at once of a text that it is behind on: a step is not to wait for long.
_CHUNK = 128


class ModelDrafter(GraphDrafter):
    """A model of its own, with a cache of its own.

    What it drafted and the target accepted is in its cache already. Of a long prompt it reads a
    chunk with each step, and drafts when it has read all. A text that it read as a short one is
    read anew once it is long, where its graph tells these apart.

    Args:
        options: With a draft that is a bundle.
    """

    name = "draft_model"

    def __init__(self, options: DrafterOptions) -> None:
        super().__init__(open_draft_model(options))
        self._vocab_size = options.vocab_size
        self._read: dict[int, Int64Array] = {}
        self._shifts: dict[int, int] = {}

    @staticmethod
    def applies(context: DrafterContext) -> bool:
        """Where the draft is a bundle."""
        return context.draft is not None and kind_of(context.draft) == ModelDrafter.name

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:
        super().finish(request_id, tokens, num_prompt)
        self._read.pop(request_id, None)
        self._shifts.pop(request_id, None)

    def _behind(self, draft: Draft) -> Rows | None:
        shift = self._graph.shift(len(draft.tokens))
        if shift != self._shifts.setdefault(draft.request_id, shift):
            self._read.pop(draft.request_id, None)
            self._shifts[draft.request_id] = shift
        read = self._read.get(draft.request_id, _NOTHING)
        known = min(_common(read, draft.tokens), len(draft.tokens) - 1)
        tokens = draft.tokens[known : known + _CHUNK]
        rows = Rows(draft.request_id, known, known + shift, tokens)
        if rows.end == len(draft.tokens):
            return rows
        if self._graph.has_room(rows):
            self._graph.run([rows])
            draft.lag = len(rows.tokens)
            self._done(draft, rows)
        return None

    def _after(self, draft: Draft, rows: Rows, result: StepResult, row: int) -> Rows:  # noqa: ARG002
        drafted = np.array(draft.proposed[-1:], np.int64)
        return Rows(draft.request_id, rows.end, rows.position + len(rows.tokens), drafted)

    def _token(self, choice: int) -> int | None:
        return choice if choice < self._vocab_size else None  # padding of its vocabulary

    def _done(self, draft: Draft, rows: Rows) -> None:
        before = self._read.get(draft.request_id, _NOTHING)[: rows.past]
        self._read[draft.request_id] = np.concatenate([before, rows.tokens])


_NOTHING = np.empty(0, np.int64)


def _common(one: Int64Array, other: Int64Array) -> int:
    """Length of the beginning that two texts share."""
    length = min(len(one), len(other))
    differs = one[:length] != other[:length]
    return int(differs.argmax()) if differs.any() else length
