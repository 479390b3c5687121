"""What a step computes of a request, and what the request reads of it."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.runtime.scheduling.request import Request


@dataclass(frozen=True, slots=True)
class ScheduledTokens:
    """The tokens ``start:end`` of a request, to be computed in this step.

    Behind them, if it completes, may stand draft tokens (``drafts``). The logits of its last
    ``scored`` tokens of the prompt that have a next one tell how likely that was; the states of its
    last ``pooled`` tokens are part of an embedding.
    """

    request: Request
    start: int
    end: int
    drafts: tuple[int, ...] = ()
    scored: int = 0
    pooled: int = 0

    @classmethod
    def of(cls, request: Request, start: int, end: int) -> ScheduledTokens:
        """Some tokens of a request, of which it reads what it has not read yet."""
        scored, pooled = (
            0 if reader is None else reader.num_wanted(start, end)
            for reader in (request.scorer, request.pooler)
        )
        return cls(request, start, end, scored=scored, pooled=pooled)

    @property
    def completes(self) -> bool:
        """Whether all known tokens are computed after it."""
        return self.end == self.request.num_known

    @property
    def last(self) -> int:
        """Where its draft tokens end."""
        return self.end + len(self.drafts)

    @property
    def samples(self) -> bool:
        """Whether a new token can be sampled after it."""
        return self.completes and self.request.max_tokens > 0

    @property
    def reads(self) -> bool:
        """Whether its request reads more than what it samples from."""
        return self.scored + self.pooled > 0

    @property
    def num_rows(self) -> int:
        """Rows of logits that it gets.

        They are those of ``scored`` tokens, then, if it samples, those behind its last token and
        behind each draft token.
        """
        return self.scored + (1 + len(self.drafts) if self.samples else 0)

    @property
    def first_row(self) -> int:
        """The first token that has a row, counted from ``start``."""
        behind = self.last if self.samples else min(self.end, self.request.num_prompt - 1)
        return max(0, behind - self.num_rows - self.start)
