"""Brings draft tokens into a step, and learns from what the target made of them."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from operator import eq

from nanoaccel.errors import DrafterError
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.scheduling.scheduled_tokens import ScheduledTokens
from nanoaccel.runtime.speculation.controller import Controller
from nanoaccel.runtime.speculation.drafter_state import DrafterState
from nanoaccel.runtime.speculation.drafters import Draft, Drafter
from nanoaccel.runtime.speculation.record import SpeculationCounters, SpeculationRecord
from nanoaccel.runtime.speculation.rest import Rest
from nanoaccel.runtime.speculation.steps import StepSavings, StepShape
from nanoaccel.runtime.types.plan import Float32Array

_log = logging.getLogger("nanoaccel.speculation")


class Speculator:
    """Speculative decoding (Leviathan et al. 2023) inside the one step of the engine.

    The target computes draft tokens with the step's other tokens and samples behind each of them as
    it would without: as long as it draws what was drafted, its next logits are those that plain
    decoding would have. For draft tokens without a distribution of their own that is the rule of
    rejection sampling, and since random numbers depend on seed and position only, even a sampled
    text is the one that plain decoding writes.

    Of several drafters, those that cost nothing draft first; another one drafts where more is
    expected of it than of them, and all are judged by what the target drew.

    One thread calls it; only ``finish`` and ``counters`` may be called from others, with the
    engine's lock held.

    Args:
        drafters: Propose tokens.
        controller: Chooses how many draft tokens to check.
        vocab_size: Tokens of the target.
        max_tokens: Tokens in a step at most, draft tokens included.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        drafters: Sequence[Drafter],
        controller: Controller,
        *,
        vocab_size: int,
        max_tokens: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        free_first = sorted(drafters, key=lambda drafter: not drafter.is_free)
        self._states = [DrafterState(drafter, clock) for drafter in free_first]
        self._controller = controller
        self._vocab_size = vocab_size
        self._max_tokens = max_tokens
        self._open: dict[int, list[tuple[DrafterState, Draft]]] = {}
        self._ended: deque[Request] = deque()
        self._shape: StepShape | None = None
        self._drafting = 0.0
        self._record = SpeculationRecord()
        self._rest = Rest()

    def counters(self) -> SpeculationCounters:
        """How it does."""
        costs = {
            state.drafter.name: state.seconds_per_guess
            for state in self._states
            if not state.drafter.is_free
        }
        return self._record.snapshot(self._controller.ledger, costs)

    def extend(
        self, chunks: list[ScheduledTokens], has_room: Callable[[Request, int, int], bool]
    ) -> list[ScheduledTokens]:
        """Add draft tokens to the chunks of a step whose requests get a token from it.

        Args:
            chunks: What was scheduled.
            has_room: Whether the cache has room for a request's first so many tokens, of which so
                many at the end are draft tokens.
        """
        self.forget_ended()
        writers = [chunk for chunk in chunks if chunk.samples]
        tokens = sum(chunk.end - chunk.start for chunk in chunks)
        self._shape = StepShape(len(writers), tokens) if writers else None
        self._open, self._drafting = {}, 0.0
        if self._shape is None:
            return chunks
        if self._rest.due(len(writers)):
            return chunks
        best = self._propose(writers, self._shape)
        if not best:
            self._rest.note(worthwhile=False)
            return chunks
        counts = self._controller.choose(
            [draft.cumulative for draft in best.values()],
            self._shape,
            self._max_tokens - tokens,
            self._drafting,
        )
        self._rest.note(worthwhile=any(counts))
        chosen = {
            request_id: tuple(draft.proposed[:count])
            for (request_id, draft), count in zip(best.items(), counts, strict=True)
            if count > 0
        }
        return [
            _extended(chunk, chosen[chunk.request.id], has_room)
            if chunk.request.id in chosen
            else chunk
            for chunk in chunks
        ]

    def pass_size(self, tokens: int) -> int:
        """The tokens that a pass with draft tokens is best padded to."""
        return self._controller.pad(tokens)

    def observe(self, request: Request, start: int, hidden: Float32Array) -> None:
        """Show drafters what the target computed for a request's tokens from ``start`` on.

        Args:
            request: The request.
            start: Position of the first.
            hidden: f32[T, F].
        """
        for state in list(self._states):
            if (
                state.reader is not None
                and state.follows(request.id)
                and request.may_use(state.drafter.name)
            ):
                with self._guard(state):
                    state.reader.observe(request.id, start, hidden)

    def learn(self, chunk: ScheduledTokens, given: Sequence[int]) -> None:
        """Compare what was drafted with what the target drew.

        Args:
            chunk: Chunk of a request that should get tokens, with or without draft tokens.
            given: The tokens that it got; none if sampling failed.
        """
        for state, draft in self._open.pop(chunk.request.id, ()):
            state.learn(draft, given)
        accepted = sum(map(eq, given, chunk.drafts))  # only the last may be wrong
        self._record.note_request(len(chunk.drafts), accepted, len(given))

    def savings(self, num_drafts: int, seconds: float) -> StepSavings:
        """How to tell what the step's draft tokens save each request.

        Args:
            num_drafts: Those that were checked.
            seconds: Seconds from the start of the step until its pass was done.
        """
        if self._shape is None:
            return StepSavings()
        return self._controller.savings(self._shape, num_drafts, seconds)

    def settle(self, num_drafts: int, given: int, seconds: float) -> None:
        """Note what the step took in all.

        Args:
            num_drafts: Those that were checked.
            given: Tokens that all requests got.
            seconds: Seconds from the start of the step until its pass was done.
        """
        if self._shape is not None:
            drafting = self._drafting
            self._controller.settle(self._shape, num_drafts, given, seconds - drafting, drafting)
            self._record.note_step(num_drafts)

    def finish(self, request: Request) -> None:
        """Note that a request has ended; it is forgotten with the next step."""
        self._ended.append(request)

    def forget_ended(self) -> None:
        """Let drafters forget the requests that have ended."""
        while self._ended:
            request = self._ended.popleft()
            self._open.pop(request.id, None)
            for state in list(self._states):
                state.forget(request.id)
                with self._guard(state):
                    known = request.tokens(0, request.num_known).copy()
                    state.drafter.finish(request.id, known, request.num_prompt)

    def close(self) -> None:
        """Free the drafters."""
        for state in self._states:
            state.drafter.close()

    def _propose(self, writers: Sequence[ScheduledTokens], shape: StepShape) -> dict[int, Draft]:
        """For each request the draft of which the most is expected, with no prompts in the step."""
        shape = StepShape(shape.writers, shape.writers)
        best: dict[int, Draft] = {}
        requests = {chunk.request.id: chunk.request for chunk in writers}
        for state in list(self._states):
            drafts = [
                draft
                for chunk in writers
                if chunk.request.may_use(state.drafter.name)
                and (
                    draft := state.begin(
                        chunk.request.id,
                        chunk.request.tokens(0, chunk.end),
                        chunk.request.draft_limit(chunk.end),
                        self._controller,
                        shape,
                        best.get(chunk.request.id),
                        chunk.request.cache_key,
                    )
                )
                is not None
            ]
            with self._guard(state):
                self._fill(state, drafts)
                for draft in drafts:
                    draft.cut(requests[draft.request_id].count_valid(draft.proposed))
                    if draft.proposed:
                        self._open.setdefault(draft.request_id, []).append((state, draft))
                        rival = best.get(draft.request_id)
                        if draft.cumulative and (
                            rival is None or self._worth(draft, shape) > self._worth(rival, shape)
                        ):
                            best[draft.request_id] = draft
        return best

    def _worth(self, draft: Draft, shape: StepShape) -> tuple[float, float]:
        """Tokens a second, and expected accepted tokens."""
        return self._controller.goodput(draft.cumulative, shape).rate, sum(draft.cumulative)

    def _fill(self, state: DrafterState, drafts: Sequence[Draft]) -> None:
        self._drafting += state.propose(drafts)
        for draft in drafts:
            for token in draft.proposed:
                if not 0 <= token < self._vocab_size:
                    raise ValueError(f"token {token} is not one of {self._vocab_size}")

    @contextmanager
    def _guard(self, state: DrafterState) -> Iterator[None]:
        """Where a drafter is called: one that fails is switched off."""
        try:
            yield
        except Exception as error:
            self._states.remove(state)
            with suppress(Exception):
                state.drafter.close()
            named = DrafterError(
                f"drafter {state.drafter.name!r} failed with {type(error).__name__}: {error}",
                "It is switched off until the bundle is opened again; no text is affected",
            )
            _log.warning("%s: %s", type(named).__name__, named, exc_info=error)


def _extended(
    chunk: ScheduledTokens, drafts: tuple[int, ...], has_room: Callable[[Request, int, int], bool]
) -> ScheduledTokens:
    """A chunk with draft tokens, unless the cache has no room: nobody makes way for them."""
    longer = replace(chunk, drafts=drafts)
    fits = has_room(chunk.request, longer.last - chunk.request.num_evicted, len(drafts))
    return longer if fits else chunk
