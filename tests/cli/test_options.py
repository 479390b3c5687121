from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import pytest
import typer

from nanoaccel.cli.commands.generate import generate
from nanoaccel.cli.options import (
    EngineOptions,
    ReplicaOptions,
    ReuseOptions,
    SamplingOptions,
    SpeculationOptions,
)
from nanoaccel.cli.options.adapters import ServedAdapterOptions
from nanoaccel.cli.options.calibration import CalibrationFlags
from nanoaccel.cli.options.expand import with_options
from nanoaccel.cli.options.recipe import RecipeFlags
from nanoaccel.errors import ConfigError, SamplingError
from nanoaccel.exporters.quantize.recipe import PRESETS, Backup, EndType, Recipe
from nanoaccel.exporters.quantize.weight_types import WeightType
from nanoaccel.registry import COMPRESSION_METHODS, EVICTION_POLICIES
from nanoaccel.runtime.backends import CachePrecision, Precision
from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams


@dataclass(frozen=True, kw_only=True)
class Pair:
    left: Annotated[int, typer.Option(help="Left.")] = 1
    right: Annotated[str, typer.Option(help="Right.")] = "r"


def _option(function: object, name: str) -> Any:
    return get_args(get_type_hints(function, include_extras=True)[name])[1]


def _metavar(function: object, name: str) -> str:
    metavar: str = _option(function, name).metavar
    return metavar


def _help(function: object, name: str) -> list[str]:
    """Its words."""
    return re.findall(r"[\w-]+", _option(function, name).help)


def test_sampling_defaults_are_those_of_sampling_params() -> None:
    assert SamplingOptions().params() == SamplingParams()


def test_sampling_options_cover_sampling_params() -> None:
    names = {item.name for item in fields(SamplingOptions)}
    names -= {"stop_token_id", "no_generation_config", "processor"}
    elsewhere = {"stop_token_ids", "n", "logprobs", "skip_special_tokens", "grammar"}
    elsewhere |= {"prompt_logprobs", "kept_special_tokens", "processors"}
    assert names | elsewhere == {f.name for f in fields(SamplingParams)}


def test_sampling_options_become_sampling_params() -> None:
    options = SamplingOptions(
        max_tokens=7, logit_bias=["3=-100", "4=2.5"], stop=["a", "b"], stop_token_id=[9]
    )
    params = options.params(n=1, logprobs=2)
    assert params.max_tokens == 7
    assert params.logit_bias == {3: -100.0, 4: 2.5}
    assert (params.stop, params.stop_token_ids, params.logprobs) == (("a", "b"), (9,), 2)


@pytest.mark.parametrize("text", ["3", "x=1", "3=", "3=x", ""])
def test_logit_bias_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--logit-bias"):
        SamplingOptions(logit_bias=[text]).params()


def test_sampling_values_are_checked() -> None:
    with pytest.raises(SamplingError):
        SamplingOptions(temperature=float("nan")).params()


def test_engine_defaults_are_those_of_llm() -> None:
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(LLM.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert set(defaults.values()) == {None}  # or nothing that is set elsewhere could count
    for name in ("on_event", "max_waiting", "max_queued_tokens", "tuned", "adapters"):
        del defaults[name]
    del defaults["generation_config"]  # with the options of sampling: --no-generation-config
    running = inspect.signature(generate).parameters["max_running"].default
    shown = {
        **EngineOptions().arguments(),
        **ReplicaOptions().arguments(),
        **SpeculationOptions().arguments(),
        **ReuseOptions().arguments(),
        **ServedAdapterOptions().arguments(),
        "max_running": running,
    }
    assert shown == defaults


def test_engine_options_read_what_a_text_keeps() -> None:
    assert EngineOptions(keep_tokens=64).arguments()["cache_eviction"] == CacheEviction(64)
    by_score = EngineOptions(keep_tokens=64, keep_by="score").arguments()["cache_eviction"]
    assert by_score == CacheEviction(64, by="score")


def test_reuse_options_read_the_size_of_the_folder() -> None:
    arguments = ReuseOptions(prompt_cache=Path("x"), prompt_cache_size="2MB").arguments()
    assert (arguments["prompt_cache"], arguments["prompt_cache_size"]) == (Path("x"), 2_000_000)


def test_engine_options_read_the_cache_size() -> None:
    assert EngineOptions(kv_cache_memory="2MB").arguments()["kv_cache_memory"] == 2_000_000
    with pytest.raises(ConfigError, match="--kv-cache-memory 'much'"):
        EngineOptions(kv_cache_memory="much").arguments()


def test_replica_options_are_a_number_or_auto() -> None:
    assert ReplicaOptions(replicas="3").arguments() == {"replicas": 3}
    for text in ("0", "-1", "two", ""):
        with pytest.raises(ConfigError, match="--replicas"):
            ReplicaOptions(replicas=text).arguments()


def test_choices_in_the_help_are_those_that_exist() -> None:
    assert _metavar(EngineOptions, "precision") == "|".join(get_args(Precision))
    assert _metavar(EngineOptions, "keep_by").split("|") == ["position", "score"]
    for precision in set(get_args(CachePrecision)) - {"auto"}:
        assert precision in _help(EngineOptions, "cache_precision")
    for policy in EVICTION_POLICIES.names():
        assert policy in _help(ReuseOptions, "eviction_policy")
    for weights in get_args(WeightType):
        assert weights in _help(RecipeFlags, "weights")
    for method in COMPRESSION_METHODS.names():
        assert method in _help(RecipeFlags, "method")
    for preset in PRESETS:
        assert preset in _help(RecipeFlags, "recipe")
    assert _metavar(RecipeFlags, "backup") == "|".join(get_args(Backup))
    for end in ("embeddings", "last_layer"):
        assert _metavar(RecipeFlags, end) == "|".join(get_args(EndType))


def test_recipe_flags_that_are_not_given_change_nothing() -> None:
    assert RecipeFlags().build() is None
    assert RecipeFlags(weights="int4").build() == Recipe()
    assert RecipeFlags(recipe="smallest").build() == PRESETS["smallest"]
    assert CalibrationFlags().build() is None


def test_with_options_spreads_and_gathers_a_dataclass() -> None:
    seen = []

    def command(first: str, pair: Pair, last: int = 3) -> None:
        """Does it."""
        seen.append((first, pair, last))

    spread = with_options(command)
    assert list(inspect.signature(spread).parameters) == ["first", "left", "right", "last"]
    assert spread.__doc__ == "Does it."
    spread(first="f", left=5, right="x", last=4)
    assert seen == [("f", Pair(left=5, right="x"), 4)]
