"""One request: its tokens, how many of them are computed, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from nanoaccel.bundle.long_factors import LongFactors
from nanoaccel.runtime.adapters.registry import RegisteredAdapter
from nanoaccel.runtime.kv.token_eviction import CacheEviction
from nanoaccel.runtime.sampling import Sampled, Sampler, SamplingParams
from nanoaccel.runtime.sampling.grammar import CompiledGrammar
from nanoaccel.runtime.scheduling.endings import end_tokens, stop_reason
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.scheduling.pooler import Pooler
from nanoaccel.runtime.scheduling.prompt_logprobs import PromptScorer
from nanoaccel.runtime.scheduling.text_rotation import TextRotation
from nanoaccel.runtime.types.draft_tokens import DraftCounter
from nanoaccel.runtime.types.outputs import (
    Chunk,
    FinishReason,
    PromptLogprobs,
    RequestStats,
    TokenLogprobs,
    Usage,
)
from nanoaccel.runtime.types.plan import Float32Array, Int64Array
from nanoaccel.runtime.types.pooling import Pooling
from nanoaccel.text import Tokenizer

_DEFAULTS = RequestOptions()


class Request:
    """A sequence of known tokens, of which the first ``num_computed`` are computed.

    The cache holds those, except the ``num_evicted`` that were dropped from it by ``eviction``.

    There is no prefill phase and no decode phase: a request wants all its known tokens computed,
    and each time that is reached it learns one more (as in vLLM's scheduler).

    Args:
        request_id: Unique in the engine.
        prompt_ids: Tokens of the prompt, at least one.
        params: How to sample and when to stop.
        max_tokens: Tokens to generate at most; ``params.max_tokens`` cut to what fits.
        tokenizer: Turns new tokens into text, and knows which end it.
        vocab_size: Length V of a row of logits.
        seed: For sampling.
        index: Index of the completion among the ``n`` of its prompt.
        options: How to treat it.
        deadline: When it is ended with what it has, seconds on the scheduler's clock; None never.
        eviction: Tokens that it holds in the cache, in whole blocks; None holds all.
        sampler: Chooses its tokens; None makes one of the parameters.
        grammar: ``params.grammar``, compiled; only where there is no ``sampler``.
        pooling: How the prompt becomes an embedding; None makes none.
        long_factors: How the graph is told which texts are long; None where all are alike.
        adapter: What it is computed with; None is the base alone.

    Attributes:
        adapter: As given.
        adapter_slot: Where that is while a step may work on it; -1 without.
        cache_key: What ``prefix_key`` begins with.
        num_computed: Tokens that are computed.
        num_evicted: Those of them that were dropped from the cache.
        rotation: How it is rotated.
        has_returned: Whether it waits, or waited, for a place again after it had one.
        num_cached_at_start: Tokens that were found in the cache when it first started.
        scorer: Reads the log-probabilities of the prompt; None where nobody asked for them.
        pooler: Makes the embedding; None where nobody asked for one.
        embedding: The same, once it is made.
        submitted: When it was queued, seconds on the engine's clock.
        started: When a step first worked on it; None before.
        first_token: When it had its first token; None before.
    """

    def __init__(
        self,
        request_id: int,
        prompt_ids: Sequence[int],
        params: SamplingParams,
        *,
        max_tokens: int,
        tokenizer: Tokenizer,
        vocab_size: int,
        seed: int,
        index: int,
        options: RequestOptions = _DEFAULTS,
        deadline: float | None = None,
        eviction: CacheEviction | None = None,
        sampler: Sampler | None = None,
        grammar: CompiledGrammar | None = None,
        pooling: Pooling | None = None,
        long_factors: LongFactors | None = None,
        adapter: RegisteredAdapter | None = None,
    ) -> None:
        self.id = request_id
        self.params = params
        self.options = options
        self.priority = options.priority
        self.deadline = deadline
        self.eviction = eviction
        self.seed = seed
        self.index = index
        self.adapter, self.adapter_slot = adapter, -1
        self.max_tokens = max_tokens
        self.cache_key = b"" if adapter is None else adapter.cache_key
        self.num_prompt = self.num_known = len(prompt_ids)
        self.num_computed = self.num_evicted = 0
        self.num_cached_at_start = self.num_preemptions = 0
        self.has_returned = False
        self.rotation = TextRotation(long_factors)
        self._num_forced = self._num_again = 0
        self.finish_reason: FinishReason | None = None
        self._tokens: Int64Array = np.empty(self.num_prompt + max_tokens, np.int64)
        prompt = self._tokens[: self.num_prompt]
        prompt[:] = prompt_ids
        wanted = params.prompt_logprobs if index == 0 else None
        self.scorer = None if wanted is None else PromptScorer(prompt, wanted)
        self.pooler = None if pooling is None else Pooler(pooling, self.num_prompt)
        self.embedding: Float32Array | None = None
        self._end_ids = end_tokens(params, tokenizer, vocab_size)
        if sampler is None:
            sampler = Sampler(params, prompt_ids, sorted(self._end_ids), seed, vocab_size, grammar)
        self.sampler = sampler
        hides, kept = params.skip_special_tokens, params.kept_special_tokens
        self.output_text = tokenizer.output_text(
            prompt_ids, params.stop, skip_special_tokens=hides, kept_special_tokens=kept
        )
        self.submitted = 0.0
        self.first_token: float | None = None
        self.started: float | None = None
        self._announced = False
        self._drafts = DraftCounter()
        self._saved = 0.0

    @property
    def prompt_ids(self) -> list[int]:
        """Tokens of the prompt."""
        return [int(token) for token in self._tokens[: self.num_prompt]]

    @property
    def num_generated(self) -> int:
        """Tokens generated so far."""
        return self.num_known - self.num_prompt

    @property
    def num_pending(self) -> int:
        """Known tokens that are not computed yet."""
        return self.num_known - self.num_computed

    @property
    def decodes(self) -> bool:
        """Whether it waits for what it wrote last alone: a token, and what came with it."""
        return self.num_pending <= 1 + self._num_forced + self._num_again

    @property
    def prefix_key(self) -> bytes:
        """What the keys of its cached blocks begin with; only requests of one key share them."""
        return self.cache_key + self.rotation.cache_key(self.num_known)

    def go_on_from(self, length: int) -> None:
        """Compute tokens from ``length`` on again, up to ``num_computed``: often none."""
        self._num_again = self.num_computed - length
        self.num_computed = length

    @property
    def num_cached(self) -> int:
        """Tokens that it holds in the cache."""
        return self.num_computed - self.num_evicted

    @property
    def cached_limit(self) -> int | None:
        """Tokens that it may find in the cache; None: any.

        The others are computed, as the cache does not hold all that is read of them: logits,
        states, or the attention that tokens drew.
        """
        if self.eviction is not None and self.eviction.by == "score":
            return 0
        if self.scorer is not None and not self.scorer.is_complete:
            return self.scorer.num_read
        return None if self.pooler is None else self.pooler.num_read

    @property
    def chunk_limit(self) -> int | None:
        """Tokens that it may compute before some must be dropped from the cache; None: any.

        Chunks end where the cache is full, so that the same tokens are dropped however the
        prompt is cut, and the text does not depend on what else runs.
        """
        return None if self.eviction is None else self.eviction.max_tokens - self.num_cached

    def may_use(self, drafter: str) -> bool:
        """Whether a drafter may propose its tokens."""
        return self.options.speculation in ("auto", drafter)

    def draft_limit(self, end: int) -> int:
        """Draft tokens that may be verified with a chunk that ends there, 0 or more.

        One token of the request is always left for the target itself. Scores of attention count
        all that is computed, rejected draft tokens included: where these decide, there are none.
        """
        left = max(0, self.max_tokens - self.num_generated - 1)
        room = self.rotation.room(end)
        left = left if room is None else min(left, room)
        if self.eviction is None:
            return left
        if self.eviction.by == "score":
            return 0
        return min(left, self.eviction.max_tokens - (end - self.num_evicted))

    def tokens(self, start: int, end: int) -> Int64Array:
        """Known tokens i64[end - start]; a view."""
        return self._tokens[start:end]

    def submit(self, now: float) -> None:
        """Note when it was queued, seconds."""
        self.submitted = now

    def start(self, now: float, cached_tokens: int) -> None:
        """Note that steps work on it from now on, beginning behind the tokens already cached."""
        self.num_computed = cached_tokens
        self.rotation.begin(self.num_known)
        if self.started is None:
            self.started = now
            self.num_cached_at_start = cached_tokens

    def announce(self) -> bool:
        """Whether this is the first call: a request starts once, however often it is preempted."""
        first, self._announced = not self._announced, True
        return first

    def begin_again(self) -> None:
        """Forget what is computed; the known tokens stay, so the text does not change."""
        self.num_computed = self.num_evicted = self._num_again = 0
        self.has_returned = True
        self.rotation.forget()

    def note_step(self, drafted: int, saved: float) -> None:
        """Count a step that gives it a token.

        Args:
            drafted: Draft tokens that it verifies.
            saved: Seconds that they save, if none is accepted.
        """
        self._drafts.begin(drafted)
        self._saved += saved

    def note_accepted(self, saved: float) -> None:
        """Count a draft token that was accepted, and the seconds that it saves."""
        self._drafts.accept()
        self._saved += saved

    def sample(self, row: Float32Array, likeliest: int | None = None) -> Sampled:
        """Choose the next token from logits f32[V], which it may write to; see ``Sampler.sample``.

        Raises:
            GenerationError: The logits are not numbers.
        """
        return self.sampler.sample(row, self.num_generated, likeliest)

    def count_valid(self, drafts: Sequence[int]) -> int:
        """How many of some draft tokens, from the first, its grammar allows; all without one."""
        return self.sampler.count_valid(drafts)

    def append_forced(self, now: float) -> Iterator[Chunk]:
        """Take the tokens that must follow, whatever the model says; may finish the request.

        They are known tokens that are not computed yet, as those of a prompt are: they need no step
        of their own, and no logits.

        Raises:
            GenerationError: The grammar cannot be followed further.
        """
        self._num_forced = 0
        while self.finish_reason is None and (forced := self.sampler.forced()):
            self._num_forced += 1
            yield self.append(self.sampler.certain(forced[0]), now)

    def append(self, sampled: Sampled, now: float) -> Chunk:
        """Take one more token and say what it adds to the text; may finish the request.

        Raises:
            GenerationError: The grammar cannot be followed further.
        """
        token = sampled.token_id
        if self.first_token is None:
            self.first_token = now
        self._tokens[self.num_known] = token
        self.num_known += 1
        self.sampler.accept(token)
        may_stop = self.num_generated >= self.params.min_tokens
        ended = token in self._end_ids and may_stop
        text = "" if ended else self.output_text.push(token, may_stop)
        logprobs = sampled.logprobs
        if ended or self.output_text.matched or self.sampler.is_complete:
            return self.finish("stop", now, text=text, token_ids=(token,), logprobs=logprobs)
        if self.num_generated >= self.max_tokens:
            return self.finish("length", now, text=text, token_ids=(token,), logprobs=logprobs)
        return Chunk(
            text, (token,), logprobs, self.index, prompt_logprobs=self._take_prompt_logprobs()
        )

    def finish(
        self,
        reason: FinishReason,
        now: float,
        *,
        text: str = "",
        token_ids: tuple[int, ...] = (),
        logprobs: tuple[TokenLogprobs, ...] = (),
        error: str | None = None,
    ) -> Chunk:
        """End the request; the chunk carries what was still held back, unless it failed."""
        # What made it fail may be the text itself.
        if reason != "error" and not self.output_text.matched:
            text += self.output_text.finish()
            if reason == "length" and self.output_text.matched:
                reason = "stop"  # the held-back end of the text was one
        self.finish_reason = reason
        started = now if self.started is None else self.started
        first = None if self.first_token is None else self.first_token - self.submitted
        reached, accepted = self._drafts.by_position()
        stats = RequestStats(
            queued=started - self.submitted,
            first_token=first,
            total=now - self.submitted,
            preemptions=self.num_preemptions,
            cached_tokens=self.num_cached_at_start,
            steps=self._drafts.steps,
            draft_steps=self._drafts.draft_steps,
            drafted_tokens=self._drafts.drafted,
            accepted_tokens=self._drafts.accepted,
            reached=reached,
            accepted=accepted,
            saved=self._saved,
        )
        usage = Usage(self.num_prompt, self.num_generated)
        last = int(self._tokens[self.num_known - 1])
        ended = self.params, self.output_text, last, self.num_generated
        stop = stop_reason(*ended) if reason == "stop" else None
        chunk = Chunk(text, token_ids, logprobs, self.index, reason, error, usage, stats, stop)
        told = self._take_prompt_logprobs()
        return replace(chunk, prompt_logprobs=told, embedding=self.embedding)

    def _take_prompt_logprobs(self) -> PromptLogprobs:
        return () if self.scorer is None else self.scorer.take()
