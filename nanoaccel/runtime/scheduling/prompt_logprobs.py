"""Log-probabilities of a prompt's own tokens, read from its logits step by step."""

from __future__ import annotations

from nanoaccel.runtime.sampling.logprobs import log_probabilities
from nanoaccel.runtime.sampling.selection import finite
from nanoaccel.runtime.types.outputs import PromptLogprobs, TokenLogprobs
from nanoaccel.runtime.types.plan import Float32Array, Int64Array


class PromptScorer:
    """Keeps what rows of logits say of the tokens behind them, and none of the rows.

    The logits of a token tell of the next one: those of all tokens of the prompt but the last are
    read once each, in order, whatever was computed again meanwhile.

    Args:
        prompt: i64[n], n at least 1.
        top: Likeliest tokens that are told at each position, 0 or more.

    Attributes:
        num_read: Tokens whose logits were read.
    """

    def __init__(self, prompt: Int64Array, top: int) -> None:
        self.num_read = 0
        self._prompt = prompt
        self._top = top
        self._last = len(prompt) - 1
        self._found: list[TokenLogprobs | None] = [None]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be read."""
        return self.num_read == self._last

    def num_wanted(self, start: int, end: int) -> int:
        """Tokens among ``start:end`` whose logits are to be read."""
        return max(0, min(end, self._last) - max(start, self.num_read))

    def read(self, rows: Float32Array) -> None:
        """Read the logits f32[r, V] of the next r tokens.

        Raises:
            GenerationError: They are not numbers.
        """
        for row in rows:
            peak = finite(float(row.max()))
            token = int(self._prompt[self.num_read + 1])
            logprob, top = log_probabilities(row, peak, token, self._top)
            self._found.append(TokenLogprobs(token, logprob, top))
            self.num_read += 1

    def take(self) -> PromptLogprobs:
        """All that was found, once; nothing as long as something is left to be read."""
        if not self.is_complete:
            return ()
        found, self._found = tuple(self._found), []
        return found
