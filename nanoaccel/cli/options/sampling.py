"""Options of sampling."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from nanoaccel.cli.options.panels import in_sampling
from nanoaccel.errors import ConfigError

if TYPE_CHECKING:
    from nanoaccel.runtime.sampling import Grammar, SamplingParams


def _own(help: str) -> Any:
    return in_sampling(help=f"{help}. The model's own when not given.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingOptions:
    """How to sample one completion; None is the default of ``SamplingParams``."""

    max_tokens: Annotated[
        int, in_sampling(help="Tokens to generate at most, within what the context holds.")
    ] = 256
    min_tokens: Annotated[int, in_sampling(help="Tokens before which nothing ends the text.")] = 0
    temperature: Annotated[float | None, _own("0 takes the likeliest token each time")] = None
    top_k: Annotated[int | None, _own("Keep the k likeliest tokens; 0 keeps all")] = None
    top_p: Annotated[
        float | None, _own("Keep the likeliest tokens that add up to this probability")
    ] = None
    min_p: Annotated[
        float | None, _own("Keep tokens at least this many times as likely as the likeliest")
    ] = None
    repetition_penalty: Annotated[
        float | None, _own("Makes tokens of prompt and text less likely; 1 is off")
    ] = None
    presence_penalty: Annotated[
        float, in_sampling(help="Subtracted from the logit of each token in the text; -2 to 2.")
    ] = 0.0
    frequency_penalty: Annotated[
        float, in_sampling(help="Subtracted for each time a token stands in the text; -2 to 2.")
    ] = 0.0
    logit_bias: Annotated[
        list[str] | None,
        in_sampling(metavar="ID=VALUE", help="Added to a token's logit; may be repeated."),
    ] = None
    seed: Annotated[
        int | None, in_sampling(help="Of the random numbers; drawn when not given.")
    ] = None
    stop: Annotated[
        list[str] | None,
        in_sampling(metavar="TEXT", help="Ends the text and is no part of it; may be repeated."),
    ] = None
    stop_token_id: Annotated[
        list[int] | None,
        in_sampling(metavar="ID", help="A token that ends the text; may be repeated."),
    ] = None
    ignore_eos: Annotated[
        bool, in_sampling("--ignore-eos", help="Go on after the model's own end token.")
    ] = False
    processor: Annotated[
        list[str] | None,
        in_sampling(
            metavar="NAME[=JSON]",
            help="A logits processor of a plugin, with its values; may be repeated.",
        ),
    ] = None
    no_generation_config: Annotated[
        bool, in_sampling("--no-generation-config", help="Leave the model's own defaults aside.")
    ] = False

    def params(
        self,
        *,
        n: int = 1,
        logprobs: int | None = None,
        prompt_logprobs: int | None = None,
        grammar: Grammar | None = None,
    ) -> SamplingParams:
        """The checked parameters.

        Raises:
            SamplingError: A value is out of range, or two contradict each other.
            ConfigError: A ``--logit-bias`` is not ID=VALUE, or a ``--processor`` not NAME=JSON.
        """
        from nanoaccel.runtime.sampling import SamplingParams, SamplingSettings

        params = SamplingParams(
            max_tokens=self.max_tokens,
            min_tokens=self.min_tokens,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            logit_bias=dict(map(_parse_bias, () if self.logit_bias is None else self.logit_bias)),
            seed=self.seed,
            stop=() if self.stop is None else tuple(self.stop),
            stop_token_ids=() if self.stop_token_id is None else tuple(self.stop_token_id),
            ignore_eos=self.ignore_eos,
            n=n,
            logprobs=logprobs,
            prompt_logprobs=prompt_logprobs,
            grammar=grammar,
            processors=dict(
                map(_parse_processor, () if self.processor is None else self.processor)
            ),
        )
        return SamplingSettings().complete(params) if self.no_generation_config else params


def _parse_processor(text: str) -> tuple[str, Any]:
    name, separator, values = text.partition("=")
    try:
        found = json.loads(values) if separator else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(
            f"--processor {text!r:.80} is not NAME=JSON", """Write it as 'name={"value": 1}'"""
        )
    return name, found


def _parse_bias(text: str) -> tuple[int, float]:
    token, _, value = text.partition("=")
    try:
        return int(token), float(value)
    except ValueError:
        raise ConfigError(
            f"--logit-bias {text!r} is not ID=VALUE", "Write it as 42=-100, which bans token 42"
        ) from None
