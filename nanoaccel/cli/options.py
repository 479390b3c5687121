"""Options that several commands take, each written once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from nanoaccel.errors import ConfigError
from nanoaccel.sizes import parse_bytes

if TYPE_CHECKING:
    from nanoaccel.runtime.kv import CacheEviction
    from nanoaccel.runtime.sampling import SamplingParams

_SAMPLING = "Sampling"
_ENGINE = "Engine"
_CACHE = "Cache"


def _sampling(*names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=_SAMPLING)


def _own(help: str) -> Any:
    return _sampling(help=f"{help}. The model's own when not given.")


def _engine(*, help: str, metavar: str | None = None) -> Any:
    return typer.Option(help=help, metavar=metavar, rich_help_panel=_ENGINE)


def _cache(*names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=_CACHE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingOptions:
    """How to sample one completion; None is the default of ``SamplingParams``."""

    max_tokens: Annotated[
        int, _sampling(help="Tokens to generate at most, within what the context holds.")
    ] = 256
    min_tokens: Annotated[int, _sampling(help="Tokens before which nothing ends the text.")] = 0
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
        float, _sampling(help="Subtracted from the logit of each token in the text; -2 to 2.")
    ] = 0.0
    frequency_penalty: Annotated[
        float, _sampling(help="Subtracted for each time a token stands in the text; -2 to 2.")
    ] = 0.0
    logit_bias: Annotated[
        list[str] | None,
        _sampling(metavar="ID=VALUE", help="Added to a token's logit; may be repeated."),
    ] = None
    seed: Annotated[int | None, _sampling(help="Of the random numbers; drawn when not given.")] = (
        None
    )
    stop: Annotated[
        list[str] | None,
        _sampling(metavar="TEXT", help="Ends the text and is no part of it; may be repeated."),
    ] = None
    stop_token_id: Annotated[
        list[int] | None,
        _sampling(metavar="ID", help="A token that ends the text; may be repeated."),
    ] = None
    ignore_eos: Annotated[
        bool, _sampling("--ignore-eos", help="Go on after the model's own end token.")
    ] = False
    no_generation_config: Annotated[
        bool, _sampling("--no-generation-config", help="Leave the model's own defaults aside.")
    ] = False

    def params(self, *, n: int = 1, logprobs: int | None = None) -> SamplingParams:
        """The checked parameters.

        Raises:
            SamplingError: A value is out of range, or two contradict each other.
            ConfigError: A ``--logit-bias`` is not ID=VALUE.
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
        )
        return SamplingSettings().complete(params) if self.no_generation_config else params


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How the model runs; the defaults are those of ``LLM``."""

    backend: Annotated[
        str, _engine(metavar="NAME", help="What runs the graph; auto is what is fastest here.")
    ] = "auto"
    threads: Annotated[int | None, _engine(help="CPU threads; chosen when not given.")] = None
    precision: Annotated[
        str, _engine(metavar="auto|f32", help="f32 computes everything in it, slowly.")
    ] = "auto"
    max_step_tokens: Annotated[
        int | None,
        _engine(
            help="Tokens in one step at most; longer prompts are cut into chunks. As tuned, or 128."
        ),
    ] = None
    time_per_token: Annotated[
        float | None,
        _engine(
            metavar="SECONDS",
            help="How long a step may last while texts are written; prompts get what is left.",
        ),
    ] = None
    kv_cache_memory: Annotated[
        str | None,
        _cache(metavar="SIZE", help="Memory for it, as 512MB or 2GB; else up to a quarter free."),
    ] = None
    context_length: Annotated[
        int | None,
        _engine(
            metavar="N", help="Tokens of prompt and text together; as the model has when not given."
        ),
    ] = None
    cache_precision: Annotated[
        str, _cache(metavar="TYPE", help="Of cached keys and values: u4, u8, f16, bf16, f32.")
    ] = "auto"
    keep_tokens: Annotated[
        int | None,
        _cache(metavar="N", help="Tokens that a text may attend to; all when not given."),
    ] = None
    keep_by: Annotated[
        str,
        _cache(
            metavar="position|score",
            help="Start and latest tokens, or start and those that drew most attention.",
        ),
    ] = "position"

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``LLM``.

        Raises:
            ConfigError: ``--kv-cache-memory`` is no size, or ``--keep-tokens`` and ``--keep-by``
                have no meaning.
        """
        memory = self.kv_cache_memory
        return {
            "backend": self.backend,
            "threads": self.threads,
            "precision": self.precision,
            "max_step_tokens": self.max_step_tokens,
            "time_per_token": self.time_per_token,
            "kv_cache_memory": None if memory is None else parse_bytes("--kv-cache-memory", memory),
            "cache_precision": self.cache_precision,
            "cache_eviction": self._cache_eviction(),
            "context_length": self.context_length,
        }

    def _cache_eviction(self) -> CacheEviction | None:
        if self.keep_tokens is None:
            if self.keep_by != "position":
                raise ConfigError(
                    f"--keep-by {self.keep_by} has no meaning without --keep-tokens",
                    "Say how many tokens to keep",
                )
            return None
        from nanoaccel.runtime.kv import CacheEviction

        try:
            return CacheEviction(self.keep_tokens, by=self.keep_by)  # type: ignore[arg-type]
        except ConfigError as error:  # its names are not those of the options
            raise ConfigError(
                f"--keep-tokens {self.keep_tokens} --keep-by {self.keep_by}: {error.problem}",
                error.remedy,
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaOptions:
    """How many engines run; the default is that of ``LLM``."""

    replicas: Annotated[
        str,
        _engine(
            metavar="auto|N",
            help="Engines, each in a process of its own; auto is one for each NUMA node.",
        ),
    ] = "auto"

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``LLM``.

        Raises:
            ConfigError: ``--replicas`` is neither.
        """
        if self.replicas == "auto":
            return {"replicas": "auto"}
        if not self.replicas.isdecimal() or int(self.replicas) < 1:
            raise ConfigError(
                f"--replicas {self.replicas!r} is no number of engines", "It is 1 or more, or auto"
            )
        return {"replicas": int(self.replicas)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationOptions:
    """Who guesses tokens; the defaults are those of ``LLM``."""

    speculation: Annotated[
        str,
        _engine(
            metavar="NAME",
            help="Who guesses tokens, so that one step can give several: auto, off, or a drafter.",
        ),
    ] = "auto"
    draft: Annotated[
        Path | None,
        _engine(metavar="DIR", help="A draft instead of the bundle's: a head or another bundle."),
    ] = None
    corpus_tokens: Annotated[
        int,
        _engine(help="Latest tokens of finished answers that guesses may come from; 0 is none."),
    ] = 0

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``LLM``."""
        return {
            "speculation": self.speculation,
            "draft": self.draft,
            "corpus_tokens": self.corpus_tokens,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseOptions:
    """What is kept of prompts for later ones; the defaults are those of ``LLM``."""

    no_prefix_cache: Annotated[
        bool, _cache("--no-prefix-cache", help="Compute prompts anew that begin as earlier ones.")
    ] = False
    eviction_policy: Annotated[
        str, _cache(metavar="NAME", help="What of earlier prompts goes first: lru, lfu or cost.")
    ] = "lru"
    prompt_cache: Annotated[
        Path | None,
        _cache(metavar="DIR", help="Folder that keeps prompts beyond memory and this run."),
    ] = None
    prompt_cache_size: Annotated[
        str, _cache(metavar="SIZE", help="What the folder may take; the oldest prompts go.")
    ] = "4GiB"

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``LLM``.

        Raises:
            ConfigError: ``--prompt-cache-size`` is no size.
        """
        return {
            "prefix_cache": not self.no_prefix_cache,
            "eviction_policy": self.eviction_policy,
            "prompt_cache": self.prompt_cache,
            "prompt_cache_size": parse_bytes("--prompt-cache-size", self.prompt_cache_size),
        }


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give typer a command's options one by one where it takes a dataclass of them."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in groups:
            parameters.extend(_parameters_of(groups[name]))
        else:
            parameters.append(
                parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            )

    @functools.wraps(function)
    def command(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{item.name: values.pop(item.name) for item in fields(kind)})
        function(**values)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {item.name: item.annotation for item in parameters}
    return command


def _parameters_of(kind: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if item.default is MISSING else item.default,
            annotation=hints[item.name],
        )
        for item in fields(kind)
    ]


def _parse_bias(text: str) -> tuple[int, float]:
    token, _, value = text.partition("=")
    try:
        return int(token), float(value)
    except ValueError:
        raise ConfigError(
            f"--logit-bias {text!r} is not ID=VALUE", "Write it as 42=-100, which bans token 42"
        ) from None
