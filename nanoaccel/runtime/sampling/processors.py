"""What changes a row of logits before the choice: penalties, biases and bans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import SamplingError
from nanoaccel.runtime.sampling.params import SamplingParams

ScalarT = TypeVar("ScalarT", bound=np.generic)


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
    if params.repetition_penalty is not None and params.repetition_penalty != 1:
        found.append(RepetitionPenalty(params.repetition_penalty, prompt_ids))
    if params.presence_penalty != 0 or params.frequency_penalty != 0:
        found.append(FrequencyPenalty(params.presence_penalty, params.frequency_penalty))
    if params.logit_bias:
        found.append(LogitBias(params.logit_bias.keys(), params.logit_bias.values()))
    if params.min_tokens > 0 and end_ids:
        found.append(MinTokens(params.min_tokens, end_ids))
    return found


class RepetitionPenalty:
    """Makes tokens of prompt and output less likely (Keskar et al. 2019).

    Positive logits are divided by the penalty, others multiplied.

    Args:
        penalty: Above 0; 1 changes nothing.
        prompt_ids: The prompt.
    """

    def __init__(self, penalty: float, prompt_ids: Sequence[int]) -> None:
        self._penalty = penalty
        self._seen = _SeenTokens(prompt_ids)

    def apply(self, row: NDArray[np.float32], position: int) -> None:  # noqa: ARG002 - any position
        """Change a row f32[V] in place."""
        ids = self._seen.ids
        logits = row[ids]
        choose = np.minimum if self._penalty > 1 else np.maximum
        row[ids] = choose(logits / self._penalty, logits * self._penalty)

    def accept(self, token_id: int) -> None:
        """Note a token of the output."""
        self._seen.index(token_id)

    def copy(self) -> RepetitionPenalty:
        """A processor in the same state."""
        twin = RepetitionPenalty(self._penalty, ())
        twin._seen = self._seen.copy()
        return twin


class FrequencyPenalty:
    """Subtracts ``presence + frequency * count`` from the logit of each token of the output.

    Args:
        presence: Subtracted once from the logit of a token.
        frequency: Subtracted for each time that the token stands in the output.
    """

    def __init__(self, presence: float, frequency: float) -> None:
        self._presence = presence
        self._frequency = frequency
        self._seen = _SeenTokens(())
        self._counts: dict[int, int] = {}
        self._subtrahends = np.zeros(0, np.float32)

    def apply(self, row: NDArray[np.float32], position: int) -> None:  # noqa: ARG002 - any position
        """Change a row f32[V] in place."""
        ids = self._seen.ids
        row[ids] -= self._subtrahends[: ids.size]

    def accept(self, token_id: int) -> None:
        """Count a token of the output."""
        index = self._seen.index(token_id)
        if index >= self._subtrahends.size:
            self._subtrahends = _grown(self._subtrahends, index)
        count = self._counts.get(token_id, 0) + 1
        self._counts[token_id] = count
        self._subtrahends[index] = self._presence + self._frequency * count

    def copy(self) -> FrequencyPenalty:
        """A processor in the same state."""
        twin = FrequencyPenalty(self._presence, self._frequency)
        twin._seen = self._seen.copy()
        twin._counts = self._counts.copy()
        twin._subtrahends = self._subtrahends.copy()
        return twin


class LogitBias:
    """Adds a number to the logits of some tokens.

    Args:
        token_ids: Which, each once.
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
    """The distinct tokens of a text, each at an index that it keeps."""

    def __init__(self, token_ids: Sequence[int]) -> None:
        self._ids = np.unique(np.array(token_ids, np.intp))
        self._indices = {token_id: index for index, token_id in enumerate(self._ids.tolist())}

    @property
    def ids(self) -> NDArray[np.intp]:
        """i64[N], each token once."""
        return self._ids[: len(self._indices)]

    def index(self, token_id: int) -> int:
        """The index of a token, which is seen from now on."""
        index = self._indices.setdefault(token_id, len(self._indices))
        if index >= self._ids.size:
            self._ids = _grown(self._ids, index)
        self._ids[index] = token_id
        return index

    def copy(self) -> _SeenTokens:
        """The same tokens; neither notices what the other sees."""
        twin = _SeenTokens(())
        twin._ids, twin._indices = self._ids.copy(), self._indices.copy()
        return twin


def _grown(array: NDArray[ScalarT], index: int) -> NDArray[ScalarT]:
    """A longer copy that has an index."""
    longer = np.zeros(max(64, 2 * (index + 1)), array.dtype)
    longer[: array.size] = array
    return longer


def _check_ids(name: str, ids: Iterable[int], vocab_size: int) -> None:
    for token_id in ids:
        if not 0 <= token_id < vocab_size:
            raise SamplingError(
                f"{name} holds {token_id}, which is not a token of this model",
                f"Its tokens are 0 to {vocab_size - 1}",
            )
