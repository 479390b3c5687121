"""What drafters that run a graph share: they draft token after token, for all requests at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Sequence

import numpy as np

from nanoaccel.runtime.speculation.drafters.base import Draft
from nanoaccel.runtime.speculation.drafters.draft_graph import DraftGraph, Rows
from nanoaccel.runtime.types.plan import Float32Array, Int64Array, StepResult

# A draft token's confidence is the chance that the draft gives it: buckets begin at these.
_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
_PRIORS = (0.03, 0.07, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.93, 0.98)


class GraphDrafter(ABC):
    """Drafts greedily. A pass gives one more draft token for every request that wants one.

    Args:
        graph: The draft; it is closed with this.
    """

    is_free = False

    def __init__(self, graph: DraftGraph) -> None:
        self.priors: Sequence[float] = _PRIORS
        self._graph = graph

    def propose(self, drafts: Sequence[Draft]) -> None:
        behind = ((draft, self._behind(draft)) for draft in drafts)
        live = [
            (draft, rows)
            for draft, rows in behind
            if rows is not None and self._graph.has_room(rows)
        ]
        while live:
            result = self._graph.run([rows for _, rows in live])
            going_on = []
            ends = np.cumsum([len(rows.tokens) for _, rows in live])
            for index, (draft, rows) in enumerate(live):
                if not draft.proposed:
                    draft.lag = len(rows.tokens)
                self._done(draft, rows)
                choice, chance = _likeliest(
                    result.logits[index], result.likeliest_of(index, index + 1)
                )
                token = self._token(choice)
                if token is not None and draft.add(token, bisect(_BUCKETS, chance)):
                    after = self._after(draft, rows, result, int(ends[index]) - 1)
                    if self._graph.has_room(after):
                        going_on.append((draft, after))
            live = going_on

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:  # noqa: ARG002
        self._graph.forget(request_id)

    def close(self) -> None:
        self._graph.close()

    @abstractmethod
    def _behind(self, draft: Draft) -> Rows | None:
        """What the draft has not read yet of a text; None when it cannot draft."""

    @abstractmethod
    def _after(self, draft: Draft, rows: Rows, result: StepResult, row: int) -> Rows:
        """The draft token that was just added, to go on from it.

        Args:
            draft: With that token.
            rows: What led to it.
            result: Result of the pass.
            row: The last of ``rows`` among all of the pass.
        """

    def _done(self, draft: Draft, rows: Rows) -> None:  # noqa: B027
        """Note that rows were computed."""

    def _token(self, choice: int) -> int | None:
        """The target's token for one of the draft's; None when it has none."""
        return choice


def _likeliest(logits: Float32Array, known: Sequence[int]) -> tuple[int, float]:
    """The likeliest token of logits f32[V], which may be known, and its chance."""
    best = known[0] if known else int(logits.argmax())
    logits -= logits[best]
    return best, float(1 / np.exp(logits, out=logits).sum())
