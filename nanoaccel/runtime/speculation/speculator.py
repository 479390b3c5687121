"""Brings guesses into a step, and learns from what the target made of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from nanoaccel.errors import DrafterError
from nanoaccel.runtime.drafters import Draft, Drafter
from nanoaccel.runtime.request import Request
from nanoaccel.runtime.scheduler import ScheduledChunk
from nanoaccel.runtime.speculation.acceptance import Belief, Experience
from nanoaccel.runtime.speculation.controller import Controller, StepShape
from nanoaccel.runtime.speculation.record import SpeculationCounters, SpeculationRecord

# Guesses for one request in a step at most.
MAX_DRAFT = 15
# A guess that is reached less often pays on no machine: a token more costs some percent of a pass.
_FLOOR = 0.02

_log = logging.getLogger("nanoaccel")


class Speculator:
    """Speculative decoding (Leviathan et al. 2023) inside the one step of the engine.

    The target computes the guesses with the step's other tokens and samples behind each of them
    as it would without: as long as it draws what was guessed, its next logits are those that plain
    decoding would have. For guesses without a distribution of their own that is the rule of
    rejection sampling, and since random numbers depend on seed and position only, even a sampled
    text is the one that plain decoding writes.

    Args:
        drafters: Guess; the first one that promises the most is taken for each request.
        controller: Chooses how many guesses to check.
        vocab_size: Tokens of the target.
        max_tokens: Tokens in a step at most, guesses included.
    """

    def __init__(
        self,
        drafters: Sequence[Drafter],
        controller: Controller,
        *,
        vocab_size: int,
        max_tokens: int,
    ) -> None:
        self._learners = [_Learner(drafter) for drafter in drafters]
        self._controller = controller
        self._vocab_size = vocab_size
        self._max_tokens = max_tokens
        self._open: dict[int, tuple[_Learner, Draft]] = {}
        self._shape: StepShape | None = None
        self._record = SpeculationRecord()

    def counters(self) -> SpeculationCounters:
        """How it does."""
        return self._record.snapshot(self._controller.ledger)

    def extend(
        self, chunks: list[ScheduledChunk], has_room: Callable[[Request, int], bool]
    ) -> list[ScheduledChunk]:
        """Add guesses to the chunks of a step whose requests get a token from it.

        Args:
            chunks: What was scheduled.
            has_room: Whether the cache has room for a request's first so many tokens.
        """
        writers = [chunk for chunk in chunks if chunk.completes]
        tokens = sum(chunk.end - chunk.start for chunk in chunks)
        self._shape = StepShape(len(writers), tokens) if writers else None
        self._open = self._propose(writers)
        if self._shape is None or not self._open:
            return chunks
        drafts = [draft for _, draft in self._open.values()]
        counts = self._controller.choose(
            [draft.survival for draft in drafts], self._shape, self._max_tokens - tokens
        )
        chosen = {
            draft.request_id: tuple(draft.proposed[:count])
            for draft, count in zip(drafts, counts, strict=True)
            if count > 0
        }
        return [
            _extended(chunk, chosen[chunk.request.id], has_room)
            if chunk.request.id in chosen
            else chunk
            for chunk in chunks
        ]

    def learn(self, chunk: ScheduledChunk, given: Sequence[int]) -> None:
        """Compare what was guessed with what the target drew.

        Args:
            chunk: Of a request that should get tokens, with or without guesses.
            given: The tokens that it got; none if sampling failed.
        """
        checked, right = len(chunk.drafts), 0
        learner, draft = self._open.pop(chunk.request.id, (None, None))
        if learner is not None and draft is not None:
            belief = learner.belief(chunk.request.id)
            for guess, evidence, token in zip(draft.proposed, draft.evidence, given, strict=False):
                belief.note(evidence, guess == token)
                if guess != token:
                    break
                right += 1
        self._record.note_request(checked, min(right, checked), len(given))

    def settle(self, guesses: int, given: int, seconds: float) -> None:
        """Note what the step took in all.

        Args:
            guesses: Those that were checked.
            given: Tokens that all requests got.
            seconds: Of the pass.
        """
        if self._shape is not None:
            self._controller.settle(self._shape, guesses, given, seconds)
            self._record.note_step(guesses)

    def finish(self, request: Request) -> None:
        """Forget a request that has ended."""
        self._open.pop(request.id, None)
        for learner in list(self._learners):
            learner.beliefs.pop(request.id, None)
            with self._guard(learner):
                known = request.tokens(0, request.num_known).copy()
                learner.drafter.finish(request.id, known, request.num_prompt)

    def close(self) -> None:
        """Free the drafters."""
        for learner in self._learners:
            learner.drafter.close()

    def _propose(self, writers: Sequence[ScheduledChunk]) -> dict[int, tuple[_Learner, Draft]]:
        """For each request the draft of the drafter that promises the most."""
        best: dict[int, tuple[_Learner, Draft]] = {}
        for learner in list(self._learners):
            drafts = [
                Draft(
                    chunk.request.id,
                    chunk.request.tokens(0, chunk.end),
                    limit,
                    learner.belief(chunk.request.id).chance,
                    _FLOOR,
                )
                for chunk in writers
                if chunk.request.may_use(learner.drafter.name)
                and (limit := min(MAX_DRAFT, chunk.request.draft_limit(chunk.end))) > 0
            ]
            with self._guard(learner):
                self._fill(learner.drafter, drafts)
                for draft in drafts:
                    other = best.get(draft.request_id)
                    if draft.proposed and (
                        other is None or sum(draft.survival) > sum(other[1].survival)
                    ):
                        best[draft.request_id] = (learner, draft)
        return best

    def _fill(self, drafter: Drafter, drafts: Sequence[Draft]) -> None:
        if drafts:
            drafter.propose(drafts)
        for draft in drafts:
            for token in draft.proposed:
                if not 0 <= token < self._vocab_size:
                    raise ValueError(f"token {token} is not one of {self._vocab_size}")

    @contextmanager
    def _guard(self, learner: _Learner) -> Iterator[None]:
        """Where a drafter is called: one that fails is switched off."""
        try:
            yield
        except Exception as error:
            self._learners.remove(learner)
            with suppress(Exception):
                learner.drafter.close()
            named = DrafterError(
                f"drafter {learner.drafter.name!r} failed with {type(error).__name__}: {error}",
                "It is switched off until the bundle is opened again; no text is affected",
            )
            _log.warning("%s: %s", type(named).__name__, named, exc_info=error)


class _Learner:
    """A drafter with what is believed of its guesses."""

    def __init__(self, drafter: Drafter) -> None:
        self.drafter = drafter
        self.beliefs: dict[int, Belief] = {}
        self._experience = Experience(drafter.priors)

    def belief(self, request_id: int) -> Belief:
        found = self.beliefs.get(request_id)
        if found is None:
            found = self.beliefs[request_id] = Belief(self._experience)
        return found


def _extended(
    chunk: ScheduledChunk, guesses: tuple[int, ...], has_room: Callable[[Request, int], bool]
) -> ScheduledChunk:
    """A chunk with guesses, unless the cache has no room for them: nobody makes way for guesses."""
    longer = replace(chunk, drafts=guesses)
    fits = has_room(chunk.request, longer.last - chunk.request.num_evicted)
    return longer if fits else chunk
