"""What changes a row of logits before the choice: penalties, biases and bans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import SamplingError
from nanoaccel.runtime.sampling.params import SamplingParams


class LogitsProcessor:
    """Changes the logits of one request, touching only the tokens concerned.

    In this order:

    1. Repetition penalty on each token of prompt and output: positive logits are divided by it,
       others multiplied (Keskar et al. 2019).
    2. Presence and frequency penalty on each token of the output:
       ``logit -= presence + frequency * count``.
    3. ``logit_bias`` is added.
    4. While fewer than ``min_tokens`` were generated, tokens that end the text get -inf.

    Args:
        params: The user's wishes.
        prompt_ids: The prompt.
        end_ids: Tokens that end the text: the model's EOS tokens and the user's stop tokens.
        vocab_size: Length V of a row.

    Raises:
        SamplingError: ``logit_bias`` or ``end_ids`` names a token that the model has not.

    Attributes:
        is_identity: Whether no row of this request is ever changed.
    """

    def __init__(
        self,
        params: SamplingParams,
        prompt_ids: Sequence[int],
        end_ids: Sequence[int],
        vocab_size: int,
    ) -> None:
        _check_ids("logit_bias", params.logit_bias, vocab_size)
        _check_ids("stop_token_ids", end_ids, vocab_size)
        penalty = params.repetition_penalty
        self._repetition = 1.0 if penalty is None else penalty
        self._presence = params.presence_penalty
        self._frequency = params.frequency_penalty
        self._repeats = self._repetition != 1
        self._subtracts = self._presence != 0 or self._frequency != 0
        self._seen = _SeenTokens(prompt_ids if self._repeats else ())
        self._bias_ids = np.array(list(params.logit_bias), np.intp)
        self._biases = np.array(list(params.logit_bias.values()), np.float32)
        self._end_ids = np.array(end_ids, np.intp)
        self._min_tokens = params.min_tokens if self._end_ids.size else 0
        self.is_identity = not (
            self._repeats or self._subtracts or self._bias_ids.size or self._min_tokens
        )

    def observe(self, token_id: int) -> None:
        """Count a token that was appended to the output."""
        if self._repeats or self._subtracts:
            self._seen.add(token_id, self._presence, self._frequency)

    def apply(self, row: NDArray[np.float32], position: int) -> None:
        """Change a row in place.

        Args:
            row: f32[V], the logits of the next token.
            position: Tokens generated so far.
        """
        ids = self._seen.ids
        if ids.size:
            logits = row[ids]
            if self._repeats:
                choose = np.minimum if self._repetition > 1 else np.maximum
                logits = choose(logits / self._repetition, logits * self._repetition)
            if self._subtracts:
                logits -= self._seen.subtrahends
            row[ids] = logits
        if self._bias_ids.size:
            row[self._bias_ids] += self._biases
        if position < self._min_tokens:
            row[self._end_ids] = -np.inf


class _SeenTokens:
    """The distinct tokens of a text, each with what presence and frequency penalty subtract."""

    def __init__(self, prompt_ids: Sequence[int]) -> None:
        distinct = np.unique(np.array(prompt_ids, np.intp))
        self._places = {token_id: place for place, token_id in enumerate(distinct.tolist())}
        self._counts: dict[int, int] = {}
        self._ids = distinct
        self._subtrahends = np.zeros(distinct.size, np.float32)

    @property
    def ids(self) -> NDArray[np.intp]:
        """i64[N], each token once."""
        return self._ids[: len(self._places)]

    @property
    def subtrahends(self) -> NDArray[np.float32]:
        """f32[N], in the order of ids; 0 for tokens that stand only in the prompt."""
        return self._subtrahends[: len(self._places)]

    def add(self, token_id: int, presence: float, frequency: float) -> None:
        """Count a token of the output."""
        place = self._places.setdefault(token_id, len(self._places))
        if place == self._ids.size:
            self._grow()
        self._ids[place] = token_id
        count = self._counts.get(token_id, 0) + 1
        self._counts[token_id] = count
        self._subtrahends[place] = presence + frequency * count

    def _grow(self) -> None:
        size = max(64, 2 * self._ids.size)
        used = self._ids.size
        ids, subtrahends = np.zeros(size, np.intp), np.zeros(size, np.float32)
        ids[:used], subtrahends[:used] = self._ids, self._subtrahends
        self._ids, self._subtrahends = ids, subtrahends


def _check_ids(name: str, ids: Iterable[int], vocab_size: int) -> None:
    for token_id in ids:
        if not 0 <= token_id < vocab_size:
            raise SamplingError(
                f"{name} holds {token_id}, which is not a token of this model",
                f"Its tokens are 0 to {vocab_size - 1}",
            )
