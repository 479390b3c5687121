from __future__ import annotations

from pathlib import Path

import pytest

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends import BackendInfo
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.scheduling.options import RequestOptions

INFO = BackendInfo("fake", "nothing", 10, 32, 1000, "f16", 1, "layout")


@pytest.mark.parametrize(
    "option",
    [
        "threads",
        "kv_cache_memory",
        "max_step_tokens",
        "max_running",
        "max_waiting",
        "prompt_cache_size",
    ],
)
def test_config_refuses_what_is_below_one(option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option}=0 is out of range. It must be 1 or more"):
        EngineConfig(**{option: 0})
    with pytest.raises(ConfigError, match=f"{option}=-1 is out of range"):
        EngineConfig(**{option: -1})


@pytest.mark.parametrize("seconds", [-1.0, 0.0, float("nan"), float("inf"), 50_000.0])
def test_config_refuses_a_time_per_token_that_is_none(seconds: float) -> None:
    with pytest.raises(ConfigError, match=r"time_per_token=.* is out of range. It is in seconds"):
        EngineConfig(time_per_token=seconds)


@pytest.mark.parametrize("option", ["precision", "cache_precision"])
def test_config_refuses_an_unknown_choice(option: str) -> None:
    with pytest.raises(ConfigError, match=r"is unknown\. Choose one of auto"):
        EngineConfig(**{option: "f8"})


def test_config_prompt_cache_needs_the_prefix_cache() -> None:
    with pytest.raises(ConfigError, match=r"prompt_cache needs the prefix cache\. Leave out"):
        EngineConfig(prompt_cache=Path("somewhere"), prefix_cache=False)


def test_config_cache_takes_what_was_asked() -> None:
    assert EngineConfig(kv_cache_memory=5500).cache_blocks(INFO, 320, 10**9) == 5


def test_config_cache_of_less_than_a_block_is_refused() -> None:
    with pytest.raises(ConfigError, match="holds no cache block"):
        EngineConfig(kv_cache_memory=999).cache_blocks(INFO, 320, 10**9)


def test_config_cache_by_default_holds_all_contexts_or_a_quarter_of_the_memory() -> None:
    config = EngineConfig(max_running=4)
    assert config.cache_blocks(INFO, 320, 10**9) == 40
    assert config.cache_blocks(INFO, 320, 40_000) == 10
    assert config.cache_blocks(INFO, 320, 0) == 1


def test_config_cache_larger_than_the_free_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match="is more than the 1000 bytes that are free"):
        EngineConfig(kv_cache_memory=2000).cache_blocks(INFO, 320, 1000)


def test_request_options_take_what_makes_sense() -> None:
    options = RequestOptions(priority=-3, timeout=0.5, cache_eviction=CacheEviction(64))
    assert (options.priority, options.timeout) == (-3, 0.5)
    assert RequestOptions() == RequestOptions(priority=0, timeout=None, cache_eviction=None)


@pytest.mark.parametrize("seconds", [0, 0.0, -1.0, float("nan")])
def test_request_options_refuse_a_timeout_that_is_none(seconds: float) -> None:
    with pytest.raises(ConfigError, match=r"timeout=.* is out of range. It is in seconds, above 0"):
        RequestOptions(timeout=seconds)


@pytest.mark.parametrize("priority", ["high", 1.5, float("nan"), True])
def test_request_options_refuse_a_priority_that_is_no_number_of_a_rank(priority: object) -> None:
    with pytest.raises(ConfigError, match=r"priority=.* is not a whole number"):
        RequestOptions(priority=priority)  # type: ignore[arg-type]


def test_config_refuses_a_drafter_that_does_not_exist() -> None:
    for make in (EngineConfig, RequestOptions):
        with pytest.raises(ConfigError, match="Did you mean 'ngram'"):
            make(speculation="ngrm")
    with pytest.raises(ConfigError, match="corpus_tokens=-1 is out of range"):
        EngineConfig(corpus_tokens=-1)
