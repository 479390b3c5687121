"""Drafts with a trained head: one layer that reads what the target computed (EAGLE)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nanoaccel.bundle import Head
from nanoaccel.runtime.speculation.drafters.base import Draft, DrafterContext, DrafterOptions
from nanoaccel.runtime.speculation.drafters.draft_graph import Rows
from nanoaccel.runtime.speculation.drafters.graph_drafter import GraphDrafter
from nanoaccel.runtime.speculation.drafters.opening import kind_of, open_head
from nanoaccel.runtime.types.plan import Float32Array, Int64Array, StepResult

# Positions of which the head is behind at most: it forgets what is farther back. The target's
# states hold what matters of it: with 8 and with 128 positions, it was right equally often.
_MOST_BEHIND = 32


@dataclass(slots=True)
class _Reader:
    """What the head knows of a text, an interval of its positions.

    Args:
        first: Position that stands first in the head's cache.
        read: Position behind the last in the cache.
        waiting: What the target computed for the positions from ``read`` on, f32[T, F] each.
    """

    first: int
    read: int
    waiting: list[Float32Array] = field(default_factory=list)

    @property
    def seen(self) -> int:
        """Position behind the last of which the target's states are here."""
        return self.read + sum(map(len, self.waiting))


class HeadDrafter(GraphDrafter):
    """Reads the target's hidden states (Li et al. 2024 and 2025, EAGLE and EAGLE-3).

    At position i the head reads the states of i and the token of i + 1, and drafts the token of
    i + 2. Beyond what the target has computed, its own state of the position before stands in for
    the target's. It learns of states by ``observe``, and reads them when it is asked to draft.
    Where the target computed nothing, as for a prefix that was cached, it knows nothing of it.

    Args:
        options: With a draft that is a head.
    """

    name = "head"

    def __init__(self, options: DrafterOptions) -> None:
        head, graph = open_head(options, _MOST_BEHIND)
        super().__init__(graph)
        self._vocabulary = head.vocabulary
        self._feature_size = head.feature_size
        self._own_size = head.hidden_size
        self._readers: dict[int, _Reader] = {}

    @staticmethod
    def applies(context: DrafterContext) -> bool:
        """Where the draft is a head."""
        return context.draft is not None and kind_of(context.draft) == HeadDrafter.name

    @staticmethod
    def hidden_layers(context: DrafterContext) -> tuple[int, ...]:
        """Those that it was trained to read."""
        return () if context.draft is None else Head.open(context.draft).manifest.layers

    def observe(self, request_id: int, start: int, hidden: Float32Array) -> None:
        """Learn what the target computed for positions from ``start`` on: f32[T, F]."""
        reader = self._readers.get(request_id)
        if reader is None or start > reader.seen:
            self._graph.forget(request_id)
            reader = self._readers[request_id] = _Reader(start, start)
        news = hidden[reader.seen - start :]
        if len(news) == 0:
            return
        if len(news) > _MOST_BEHIND:
            self._begin_anew(request_id, reader, start + len(hidden), news)
            return
        reader.waiting.append(news.copy())
        if reader.seen - reader.read > 2 * _MOST_BEHIND:
            self._skip(request_id, reader)

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:
        super().finish(request_id, tokens, num_prompt)
        self._readers.pop(request_id, None)

    def _skip(self, request_id: int, reader: _Reader) -> None:
        """Begin anew with the latest of the states that wait."""
        self._begin_anew(request_id, reader, reader.seen, np.concatenate(reader.waiting))

    def _begin_anew(
        self, request_id: int, reader: _Reader, seen: int, states: Float32Array
    ) -> None:
        """Keep only the latest states, a gap behind what is read.

        Args:
            request_id: Number of the request.
            reader: What is known of it.
            seen: Position behind the last of the states.
            states: f32[T, F].
        """
        latest = states[-_MOST_BEHIND:].copy()
        reader.first = reader.read = seen - len(latest)
        reader.waiting = [latest]
        self._graph.forget(request_id)

    def _behind(self, draft: Draft) -> Rows | None:
        reader = self._readers.get(draft.request_id)
        if reader is None or not reader.waiting or reader.seen != len(draft.tokens) - 1:
            return None
        if reader.seen - reader.read > _MOST_BEHIND:
            self._skip(draft.request_id, reader)
        tokens = draft.tokens[reader.read + 1 :]
        return Rows(
            draft.request_id,
            reader.read - reader.first,
            reader.read,
            tokens,
            self._features(reader.waiting),
        )

    def _after(self, draft: Draft, rows: Rows, result: StepResult, row: int) -> Rows:
        assert result.hidden is not None
        features = np.zeros((1, self._feature_size + self._own_size), np.float32)
        features[0, self._feature_size :] = result.hidden[row]
        drafted = np.array(draft.proposed[-1:], np.int64)
        end = rows.position + len(rows.tokens)
        return Rows(draft.request_id, rows.end, end, drafted, features)

    def _done(self, draft: Draft, rows: Rows) -> None:
        reader = self._readers[draft.request_id]
        if rows.position == reader.read and reader.waiting:
            reader.read += len(rows.tokens)
            reader.waiting.clear()

    def _token(self, choice: int) -> int | None:
        return self._vocabulary[choice] if choice < len(self._vocabulary) else None

    def _features(self, states: list[Float32Array]) -> Float32Array:
        """States of the target one after the other, beside no state of the head's own."""
        rows, width = sum(map(len, states)), self._feature_size
        features = np.empty((rows, width + self._own_size), np.float32)
        np.concatenate(states, out=features[:, :width])
        features[:, width:] = 0
        return features
