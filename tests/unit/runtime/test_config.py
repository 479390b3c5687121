from __future__ import annotations

import pytest

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends import BackendInfo
from nanoaccel.runtime.config import EngineConfig

INFO = BackendInfo("fake", "nothing", 10, 32, 1000, "f16", 1)


@pytest.mark.parametrize("option", ["threads", "kv_cache_memory", "max_step_tokens", "max_running"])
def test_config_refuses_what_is_below_one(option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option}=0 is out of range"):
        EngineConfig(**{option: 0})


@pytest.mark.parametrize("option", ["precision", "cache_precision"])
def test_config_refuses_an_unknown_choice(option: str) -> None:
    with pytest.raises(ConfigError, match=r"is unknown\. Choose one of auto"):
        EngineConfig(**{option: "f8"})


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
