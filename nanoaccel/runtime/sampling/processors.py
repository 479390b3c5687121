"""What changes a row of logits before the choice: penalties, biases and bans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import SamplingError
from nanoaccel.runtime.sampling.params import SamplingParams


class LogitsProcessor(Protocol):
    """Changes the logits of one request.

    The tokens of a draft are accepted one by one, each after it was verified, so a processor never
    takes a token back. What wants to look ahead works on a copy.
    """

    def apply(self, row: NDArray[np.float32], position: int) -> None:
        """Change a row in place.

        Args:
            row: f32[V], the logits of the next token.
            position: Tokens generated so far.
        """
        ...

    def accept(self, token_id: int) -> None:
        """Note a token that was appended to the output."""
        ...

    def copy(self) -> LogitsProcessor:
        """A processor in the same state; neither notices what the other accepts."""
        ...


def logits_processors(
    params: SamplingParams, prompt_ids: Sequence[int], end_ids: Sequence[int], vocab_size: int
) -> list[LogitsProcessor]:
    """The processors that a request needs, in the order in which they are applied.

    Args:
        params: The user's wishes.
        prompt_ids: The prompt.
        end_ids: Tokens that end the text: the model's EOS tokens and the user's stop tokens.
        vocab_size: Length V of a row.

    Raises:
        SamplingError: ``logit_bias`` or ``end_ids`` names a token that the model does not have.
    """
    _check_ids("logit_bias", params.logit_bias, vocab_size)
    _check_ids("stop_token_ids", end_ids, vocab_size)
    found: list[LogitsProcessor] = []
    repetition = 1.0 if params.repetition_penalty is None else params.repetition_penalty
    presence, frequency = params.presence_penalty, params.frequency_penalty
    if repetition != 1 or presence != 0 or frequency != 0:
        found.append(Penalties(repetition, presence, frequency, prompt_ids))
    if params.logit_bias:
        found.append(LogitBias(params.logit_bias.keys(), params.logit_bias.values()))
    if params.min_tokens > 0 and end_ids:
        found.append(MinTokens(params.min_tokens, end_ids))
    return found


class Penalties:
    """Makes tokens that were there before less likely.

    First the repetition penalty, on each token of prompt and output: positive logits are divided
    by it, others multiplied (Keskar et al. 2019). Then ``presence + frequency * count`` is
    subtracted from the logit of each token of the output.

    Args:
        repetition: Above 0; 1 is off.
        presence: Subtracted once from the logit of a token.
        frequency: Subtracted for each time that the token stands in the output.
        prompt_ids: The prompt.
    """

    def __init__(
        self, repetition: float, presence: float, frequency: float, prompt_ids: Sequence[int]
    ) -> None:
        self._repetition = repetition
        self._presence = presence
        self._frequency = frequency
        self._subtracts = presence != 0 or frequency != 0
        self._seen = _SeenTokens(prompt_ids if repetition != 1 else ())

    def apply(self, row: NDArray[np.float32], position: int) -> None:  # noqa: ARG002 - any position
        """Change a row f32[V] in place."""
        ids = self._seen.ids
        if ids.size == 0:
            return
        logits = row[ids]
        if self._repetition != 1:
            choose = np.minimum if self._repetition > 1 else np.maximum
            logits = choose(logits / self._repetition, logits * self._repetition)
        if self._subtracts:
            logits -= self._seen.subtrahends
        row[ids] = logits

    def accept(self, token_id: int) -> None:
        """Count a token of the output."""
        self._seen.add(token_id, self._presence, self._frequency)

    def copy(self) -> Penalties:
        """A processor in the same state."""
        twin = copy(self)
        twin._seen = self._seen.copy()
        return twin


class LogitBias:
    """Adds a number to the logits of some tokens.

    Args:
        token_ids: Tokens, each once.
        biases: What is added to each.
    """

    def __init__(self, token_ids: Iterable[int], biases: Iterable[float]) -> None:
        self._ids = np.array(list(token_ids), np.intp)
        self._biases = np.array(list(biases), np.float32)

    def apply(self, row: NDArray[np.float32], position: int) -> None:  # noqa: ARG002 - any position
        """Change a row f32[V] in place."""
        row[self._ids] += self._biases

    def accept(self, token_id: int) -> None:
        """Nothing depends on the output."""

    def copy(self) -> LogitBias:
        """Itself: it has no state."""
        return self


class MinTokens:
    """Bans the tokens that end a text until it has a length.

    Args:
        min_tokens: Tokens to generate at least.
        end_ids: Tokens that end the text.
    """

    def __init__(self, min_tokens: int, end_ids: Sequence[int]) -> None:
        self._min_tokens = min_tokens
        self._end_ids = np.array(end_ids, np.intp)

    def apply(self, row: NDArray[np.float32], position: int) -> None:
        """Change a row f32[V] in place."""
        if position < self._min_tokens:
            row[self._end_ids] = -np.inf

    def accept(self, token_id: int) -> None:
        """Nothing depends on the output but its length."""

    def copy(self) -> MinTokens:
        """Itself: it has no state."""
        return self


class _SeenTokens:
    """The distinct tokens of a text, each with what presence and frequency penalty subtract."""

    def __init__(self, token_ids: Sequence[int]) -> None:
        self._ids = np.unique(np.array(token_ids, np.intp))
        self._subtrahends = np.zeros(self._ids.size, np.float32)
        self._indices = {token_id: index for index, token_id in enumerate(self._ids.tolist())}
        self._counts: dict[int, int] = {}

    @property
    def ids(self) -> NDArray[np.intp]:
        """i64[N], each token once."""
        return self._ids[: len(self._indices)]

    @property
    def subtrahends(self) -> NDArray[np.float32]:
        """f32[N], in the order of ids; 0 for tokens that stand only in the prompt."""
        return self._subtrahends[: len(self._indices)]

    def add(self, token_id: int, presence: float, frequency: float) -> None:
        """Count a token of the output."""
        index = self._indices.setdefault(token_id, len(self._indices))
        if index == self._ids.size:
            self._grow()
        self._ids[index] = token_id
        count = self._counts.get(token_id, 0) + 1
        self._counts[token_id] = count
        self._subtrahends[index] = presence + frequency * count

    def copy(self) -> _SeenTokens:
        """The same tokens; neither notices what the other counts."""
        twin = _SeenTokens(())
        twin._ids, twin._subtrahends = self._ids.copy(), self._subtrahends.copy()
        twin._indices, twin._counts = self._indices.copy(), self._counts.copy()
        return twin

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
