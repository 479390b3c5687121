"""What a user may ask of sampling, checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from nanoaccel.errors import SamplingError

MAX_LOGPROBS = 100
# A finite logit must stay finite in f32, or the sampler could not tell it from a broken model's.
_MAX_BIAS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How the next token is chosen, and when a request ends.

    Args:
        max_tokens: Tokens to generate at most, 1 or more; None: until the context is full.
        min_tokens: Tokens before which neither EOS, a stop token nor a stop string ends the
            request.
        temperature: 0 is greedy; otherwise logits are divided by it.
        top_k: Keep the k most likely tokens; 0 keeps all.
        top_p: Keep the smallest set of tokens whose probabilities add up to at least this.
        min_p: Keep tokens at least this many times as likely as the likeliest.
        repetition_penalty: Divides positive and multiplies negative logits of tokens that stand in
            prompt or output (Keskar et al. 2019); 1 is off.
        presence_penalty: Subtracted once from the logit of each token that stands in the output.
        frequency_penalty: Subtracted once for each time a token stands in the output.
        logit_bias: Token id to a number that is added to its logit.
        seed: Same seed, same text, whatever else runs; None draws one.
        stop: Strings that end the text; they are not part of it.
        stop_token_ids: Tokens that end the text, beside the model's own EOS.
        ignore_eos: Go on after the model's own EOS.
        n: Independent completions of the prompt.
        logprobs: None: no log-probabilities; k: of the chosen token and the k likeliest.
        skip_special_tokens: Show the text without special tokens; stop strings match them anyway.

    Raises:
        SamplingError: A value is out of range, or two contradict each other.
    """

    max_tokens: int | None = 256
    min_tokens: int = 0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    n: int = 1
    logprobs: int | None = None
    skip_special_tokens: bool = True

    def __post_init__(self) -> None:
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        object.__setattr__(self, "stop", stop)
        object.__setattr__(self, "stop_token_ids", tuple(self.stop_token_ids))
        object.__setattr__(self, "logit_bias", dict(self.logit_bias))
        self._check_lengths()
        self._check_distribution()

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken each time."""
        return self.temperature == 0

    def _check_lengths(self) -> None:
        if self.max_tokens is not None:
            _check("max_tokens", self.max_tokens, 1, math.inf, "1 or more, or None")
            if self.min_tokens > self.max_tokens:
                raise SamplingError(
                    f"min_tokens={self.min_tokens} is more than max_tokens={self.max_tokens}",
                    "Lower min_tokens or raise max_tokens",
                )
        _check("min_tokens", self.min_tokens, 0, math.inf, "0 or more")
        _check("n", self.n, 1, math.inf, "1 or more")
        if self.n > 1 and self.greedy:
            raise SamplingError(
                f"n={self.n} with temperature=0 gives the same text {self.n} times",
                "Set a temperature above 0, or n=1",
            )
        if self.logprobs is not None:
            _check("logprobs", self.logprobs, 0, MAX_LOGPROBS, f"from 0 to {MAX_LOGPROBS}, or None")
        if any(not text for text in self.stop):
            raise SamplingError("stop holds an empty string", "Leave it out")
        if any(token < 0 for token in self.stop_token_ids):
            raise SamplingError(
                f"stop_token_ids={self.stop_token_ids} holds a negative number",
                "Token ids are 0 or more",
            )

    def _check_distribution(self) -> None:
        _check("temperature", self.temperature, 0, math.inf, "0 (greedy) or more, and finite")
        _check("top_k", self.top_k, 0, math.inf, "0 (off) or more")
        _check("top_p", self.top_p, 0, 1, "above 0 and at most 1")
        if self.top_p == 0:
            raise SamplingError("top_p=0 keeps no token", "Set temperature=0 for greedy decoding")
        _check("min_p", self.min_p, 0, 1, "from 0 to 1")
        _check(
            "repetition_penalty", self.repetition_penalty, 0.01, 100, "from 0.01 to 100 (1: off)"
        )
        _check("presence_penalty", self.presence_penalty, -2, 2, "from -2 to 2")
        _check("frequency_penalty", self.frequency_penalty, -2, 2, "from -2 to 2")
        for token, bias in self.logit_bias.items():
            if token < 0 or not abs(bias) <= _MAX_BIAS:
                raise SamplingError(
                    f"logit_bias={{{token}: {bias}}} is not a token id and a number within ±1e9",
                    "Use -100 to ban a token and 100 to force it",
                )


def _check(name: str, value: float, low: float, high: float, allowed: str) -> None:
    finite = isinstance(value, int) or math.isfinite(value)
    if not finite or not low <= value <= high:
        raise SamplingError(f"{name}={value} is out of range", f"It must be {allowed}")
