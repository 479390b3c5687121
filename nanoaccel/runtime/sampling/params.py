"""What a user may ask of sampling, checked when it is made."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from nanoaccel.errors import SamplingError
from nanoaccel.runtime.sampling.grammar.value import Grammar
from nanoaccel.runtime.types.values import as_bool, as_float, as_int, as_text, items_of

MAX_LOGPROBS = 100
MAX_PROMPT_LOGPROBS = 20
# A finite logit must stay finite in f32, or the sampler could not tell it from a broken model's.
_MAX_BIAS = 1e9
# As JSON's keys write it; int() refuses thousands of digits in its own way.
_TOKEN_ID = re.compile(r"[0-9]{1,18}")
_BOOLS = ("ignore_eos", "skip_special_tokens")
_IDS = ("stop_token_ids", "kept_special_tokens")
_INTS = ("max_tokens", "min_tokens", "top_k", "seed", "n", "logprobs", "prompt_logprobs")
_FLOATS = (
    "temperature",
    "top_p",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How the next token is chosen, and when a request ends.

    None is the default, everywhere. Of temperature, top_k, top_p, min_p and repetition_penalty
    that is what the model's generation_config.json says; where that says nothing, greedy and
    without a filter or a penalty. See ``SamplingSettings``.

    Args:
        max_tokens: Tokens to generate at most; None: until the context is full. 0 computes the
            prompt, for its log-probabilities or for the cache.
        min_tokens: Tokens before which neither EOS, a stop token nor a stop string ends the
            request.
        temperature: Divisor of the logits; 0 is greedy. None: the model's default.
        top_k: Number of likeliest tokens that are kept; 0 keeps all. None: the model's default.
        top_p: Probability that the kept tokens add up to, at least; they are the likeliest, and as
            few as possible. None: the model's default.
        min_p: Probability that a token needs to be kept, as a share of the likeliest one's. None:
            the model's default.
        repetition_penalty: Number that divides positive and multiplies negative logits of tokens
            that stand in prompt or output (Keskar et al. 2019); 1 is off. None: the model's
            default.
        presence_penalty: Number subtracted once from the logit of each token that stands in the
            output.
        frequency_penalty: Number subtracted once for each time a token stands in the output.
        logit_bias: Map from token ids to numbers that are added to their logits.
        seed: Seed of the random numbers, which depend on it and on the position alone. With the
            same seed, a text is the same again as far as the model's numbers are: see "When texts
            are equal" in the documentation. None draws one.
        stop: Strings that end the text; they are not part of it.
        stop_token_ids: Tokens that end the text, beside the model's own EOS.
        ignore_eos: Whether to go on after the model's own EOS.
        n: Independent completions of the prompt; without a temperature they are equal.
        logprobs: Number k of likeliest tokens whose log-probabilities are returned, beside that of
            the chosen one; None returns none.
        prompt_logprobs: The same for each token of the prompt but its first, up to 20. They are
            those of the model itself, and told with the first of ``n`` completions. The whole
            prompt is computed for them: cached tokens have no logits.
        skip_special_tokens: Whether the text leaves special tokens out; stop strings match them
            anyway.
        kept_special_tokens: Ids of special tokens that the text keeps where it leaves out the
            others.
        grammar: What the text must look like; see ``Grammar``. Penalties and biases choose among
            what it allows, and log-probabilities are those of the tokens that it allows.
        processors: Logits processors of plugins, by name, each with its own values; they are
            applied last, in this order.

    Raises:
        SamplingError: A value is of the wrong type or out of range, or two contradict each other.

    Examples:
        >>> from nanoaccel import LLM, SamplingParams
        >>> params = SamplingParams(max_tokens=16, temperature=0.7, top_p=0.9, seed=1, stop="\\n")
        >>> with LLM("bundle") as llm:
        ...     first, second = llm.generate(["Once upon a time"] * 2, params)
        >>> first.text == second.text
        True
    """

    max_tokens: int | None = 256
    min_tokens: int = 0
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    n: int = 1
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    skip_special_tokens: bool = True
    kept_special_tokens: tuple[int, ...] = ()
    grammar: Grammar | None = None
    processors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._take_defaults()
        for name in _INTS:
            self._take(name, as_int)
        for name in _FLOATS:
            self._take(name, as_float)
        for name in _BOOLS:
            self._take(name, as_bool)
        stop = (self.stop,) if isinstance(self.stop, str) else _items("stop", self.stop)
        self._set("stop", tuple(as_text("stop", text, SamplingError) for text in stop))
        for name in _IDS:
            ids = _items(name, getattr(self, name))
            self._set(name, tuple(as_int(name, i, SamplingError) for i in ids))
        self._set("logit_bias", _biases(self.logit_bias))
        if not isinstance(self.grammar, Grammar | None):
            raise SamplingError(
                f"grammar={self.grammar!r:.80} is no Grammar",
                "Write grammar=Grammar.json_schema(...), or .regex, .choice, .lark",
            )
        self._set("processors", _processors(self.processors))
        self._check_lengths()
        self._check_distribution()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _take(self, name: str, check: Any) -> None:
        value = getattr(self, name)
        if value is not None:
            self._set(name, check(name, value, SamplingError))

    def _take_defaults(self) -> None:
        """Put the default where there is None; of ``max_tokens`` that has a meaning, and stays."""
        for item in fields(self):
            if getattr(self, item.name) is None and item.name != "max_tokens":
                self._set(item.name, {} if item.default is MISSING else item.default)

    def _check_lengths(self) -> None:
        if self.max_tokens is not None:
            _check("max_tokens", self.max_tokens, 0, math.inf, "0 or more, or None")
            if self.min_tokens > self.max_tokens:
                raise SamplingError(
                    f"min_tokens={self.min_tokens} is more than max_tokens={self.max_tokens}",
                    "Lower min_tokens or raise max_tokens",
                )
        _check("min_tokens", self.min_tokens, 0, math.inf, "0 or more")
        _check("n", self.n, 1, math.inf, "1 or more")
        if self.logprobs is not None:
            _check("logprobs", self.logprobs, 0, MAX_LOGPROBS, f"from 0 to {MAX_LOGPROBS}, or None")
        if self.prompt_logprobs is not None:
            most = MAX_PROMPT_LOGPROBS
            allowed = f"from 0 to {most}, or None"
            _check("prompt_logprobs", self.prompt_logprobs, 0, most, allowed)
        if any(not text for text in self.stop):
            raise SamplingError("stop holds an empty string", "Leave it out")
        for name in _IDS:
            ids = getattr(self, name)
            if any(token < 0 for token in ids):
                raise SamplingError(
                    f"{name}={ids} holds a negative number", "Token ids are 0 or more"
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


def _check(name: str, value: float | None, low: float, high: float, allowed: str) -> None:
    if value is None:
        return
    finite = isinstance(value, int) or math.isfinite(value)
    if not finite or not low <= value <= high:
        raise SamplingError(f"{name}={value} is out of range", f"It must be {allowed}")


def _items(name: str, value: object) -> tuple[object, ...]:
    return items_of(name, value, SamplingError)


def _biases(value: object) -> dict[int, float]:
    """Biases by token id; JSON writes ids as texts."""
    if not isinstance(value, Mapping):
        raise SamplingError(
            f"logit_bias={value!r:.80} is not a dict", "Write it as {42: -100}, which bans token 42"
        )
    named = "a token of logit_bias"
    return {
        int(token)
        if isinstance(token, str) and _TOKEN_ID.fullmatch(token)
        else as_int(named, token, SamplingError): as_float(
            f"logit_bias of token {token}", bias, SamplingError
        )
        for token, bias in value.items()
    }


def _processors(value: object) -> dict[str, dict[str, Any]]:
    """Values by the name of a processor."""
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and isinstance(values, Mapping) for name, values in value.items()
    ):
        raise SamplingError(
            f"processors={value!r:.80} is not a dict of dicts",
            'Write it as {"name": {"value": 1}}, or {"name": {}} for one without values',
        )
    return {name: dict(values) for name, values in value.items()}
