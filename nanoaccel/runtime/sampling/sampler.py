"""Chooses the next token of one request."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.sampling.draw import draw
from nanoaccel.runtime.sampling.grammar import CompiledGrammar
from nanoaccel.runtime.sampling.logprobs import log_probabilities
from nanoaccel.runtime.sampling.params import SamplingParams
from nanoaccel.runtime.sampling.plugged import plugged_processors
from nanoaccel.runtime.sampling.processors import logits_processors
from nanoaccel.runtime.sampling.random import uniform
from nanoaccel.runtime.sampling.scratch import scratch
from nanoaccel.runtime.sampling.selection import finite
from nanoaccel.runtime.sampling.settings import SamplingSettings
from nanoaccel.runtime.types.outputs import TokenLogprobs


@dataclass(frozen=True, slots=True)
class Sampled:
    """A chosen token.

    Args:
        token_id: The token.
        logprob: Log-softmax of the model's logits, before penalties and temperature; None unless
            asked for. With a grammar, that of the logits of the tokens that it allows.
        top: (id, log-probability) of the likeliest tokens, likeliest first.
    """

    token_id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()

    @property
    def logprobs(self) -> tuple[TokenLogprobs, ...]:
        """The same for a chunk; none where they were not asked for."""
        if self.logprob is None:
            return ()
        return (TokenLogprobs(self.token_id, self.logprob, self.top),)


class Sampler:
    """Chooses the tokens of one request, one row of logits after the other.

    Args:
        params: The user's wishes; what they leave open is off.
        prompt_ids: The prompt.
        end_ids: Tokens that end the text: the model's EOS tokens and the user's stop tokens.
        seed: Seed of the random numbers; ``params.seed``, or one that was drawn for this request.
        vocab_size: Length V of a row.
        grammar: ``params.grammar``, compiled; None if there is none.

    Raises:
        SamplingError: The parameters name a token that the model does not have.
        ConfigError: They name a processor that nobody offers.
        PluginError: A processor cannot be used.
    """

    def __init__(
        self,
        params: SamplingParams,
        prompt_ids: Sequence[int],
        end_ids: Sequence[int],
        seed: int,
        vocab_size: int,
        grammar: CompiledGrammar | None = None,
    ) -> None:
        assert (grammar is None) == (params.grammar is None), "a grammar is compiled before"
        self._logprobs = params.logprobs
        self._settings = SamplingSettings().under(params)
        self._processors = logits_processors(params, prompt_ids, end_ids, vocab_size)
        self._processors += plugged_processors(params.processors, prompt_ids, end_ids, vocab_size)
        self._grammar = None if grammar is None else grammar.begin(end_ids, vocab_size)
        self._seed = seed

    @property
    def is_complete(self) -> bool:
        """Whether a grammar lets nothing follow but the end."""
        return self._grammar is not None and self._grammar.is_complete

    def forced(self) -> tuple[int, ...]:
        """The tokens that must come next, whatever the model says; none without a grammar.

        Raises:
            GenerationError: The grammar cannot be followed further.
        """
        return () if self._grammar is None else self._grammar.forced()

    def count_valid(self, drafts: Sequence[int]) -> int:
        """How many of some draft tokens, from the first, a grammar allows; all without one."""
        return len(drafts) if self._grammar is None else self._grammar.count_valid(drafts)

    def certain(self, token_id: int) -> Sampled:
        """A token that no other may stand for."""
        if self._logprobs is None:
            return Sampled(token_id)
        return Sampled(token_id, 0.0, ((token_id, 0.0),)[: self._logprobs])

    def fork(self, seed: int) -> Sampler:
        """A sampler in the same state with another seed; neither notices what the other accepts."""
        twin = copy(self)
        twin._processors = [processor.copy() for processor in self._processors]
        twin._grammar = None if self._grammar is None else self._grammar.copy()
        twin._seed = seed
        return twin

    def sample(
        self, row: NDArray[np.float32], position: int, likeliest: int | None = None
    ) -> Sampled:
        """Choose a token; the same row, position and accepted tokens always give the same one.

        Args:
            row: f32[V], the model's logits; penalties, biases and bans are written into it.
            position: Tokens generated so far.
            likeliest: Index of the largest of ``row`` as it is given, where that is known; of equal
                ones the first, or of the first NaN.

        Raises:
            GenerationError: The logits hold NaN or +inf, or all are -inf; or a grammar cannot be
                followed further.
        """
        if self._grammar is not None:
            if forced := self._grammar.forced():
                return self.certain(forced[0])
            self._grammar.apply(row, position)
            likeliest = None
        raw = row
        if self._processors:
            if self._logprobs is not None:
                raw = scratch.raw(row.size)
                raw[:] = row
            for processor in self._processors:
                processor.apply(row, position)
            likeliest = None
        token_id = self._choose(row, position, likeliest)
        if self._logprobs is None:
            return Sampled(token_id)
        peak = finite(float(raw.max()))
        return Sampled(token_id, *log_probabilities(raw, peak, token_id, self._logprobs))

    def accept(self, token_id: int) -> None:
        """Let the logits processors know a token that was appended to the output."""
        if self._grammar is not None:
            self._grammar.accept(token_id)
        for processor in self._processors:
            processor.accept(token_id)

    def _choose(self, row: NDArray[np.float32], position: int, likeliest: int | None) -> int:
        if self._settings.greedy:
            token_id = int(row.argmax()) if likeliest is None else likeliest
            finite(float(row[token_id]))
            return token_id
        return draw(row, self._settings, uniform(self._seed, position), likeliest)
