from __future__ import annotations

from random import Random

import numpy as np
import pytest

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.kv.token_eviction import CacheEviction, blocks_to_drop


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_tokens": 0}, "max_tokens=0 is out of range. It must be 1 or more"),
        ({"max_tokens": 99, "start_tokens": -1}, "start_tokens=-1 is out of range"),
        ({"max_tokens": 99, "recent_tokens": 0, "by": "score"}, "recent_tokens=0 is out of range"),
        ({"max_tokens": 99, "by": "age"}, "by='age' is unknown. Choose one of position, score"),
        ({"max_tokens": 99, "recent_tokens": 8}, "recent_tokens=8 has no meaning"),
    ],
)
def test_cache_eviction_refuses_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        CacheEviction(**options)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_cache_eviction_rounds_to_blocks() -> None:
    assert CacheEviction(1000).in_blocks(32) == CacheEviction(992, 32)
    assert CacheEviction(1000, start_tokens=33).in_blocks(32) == CacheEviction(992, 64)
    by_score = CacheEviction(1000, 0, 100, "score").in_blocks(32)
    assert by_score == CacheEviction(992, 0, 128, "score")
    assert CacheEviction(1000, by="score").in_blocks(32) == CacheEviction(992, 32, 256, "score")


@pytest.mark.parametrize("by", ["position", "score"])
@pytest.mark.parametrize("block_size", [1, 4, 32])
def test_cache_eviction_in_blocks_stays_so_and_drops_the_same(by: str, block_size: int) -> None:
    for max_tokens in range(8 * block_size, 60 * block_size, 7):
        eviction = CacheEviction(max_tokens, start_tokens=block_size, by=by)  # type: ignore[arg-type]
        rounded = eviction.in_blocks(block_size)
        assert rounded.in_blocks(block_size) == rounded
        blocks = rounded.max_tokens // block_size
        scores = np.arange(blocks, 0, -1).astype(np.float32)
        places = blocks_to_drop(eviction, blocks, block_size, scores)
        assert places == blocks_to_drop(rounded, blocks, block_size, scores)
        assert len(places) == max(1, blocks // 8)


def test_cache_eviction_by_position_needs_one_block_behind_the_first() -> None:
    whole = CacheEviction(128, start_tokens=96).in_blocks(16)
    assert (whole.max_tokens, whole.start_tokens) == (128, 96)


def test_cache_eviction_says_how_many_tokens_would_do() -> None:
    with pytest.raises(ConfigError, match=r"max_tokens=95 .* Raise it to 96 or more"):
        CacheEviction(95).in_blocks(32)
    assert CacheEviction(96).in_blocks(32).max_tokens == 96
    with pytest.raises(ConfigError, match="Raise it to 384 or more"):
        CacheEviction(300, start_tokens=0, recent_tokens=340, by="score").in_blocks(32)


def test_blocks_to_drop_is_none_before_the_cache_is_full() -> None:
    assert blocks_to_drop(CacheEviction(256), 7, 32, None) == []


def test_blocks_to_drop_by_position_takes_the_oldest_after_the_first() -> None:
    assert blocks_to_drop(CacheEviction(256), 8, 32, None) == [1]
    assert blocks_to_drop(CacheEviction(1024, start_tokens=70), 32, 32, None) == [3, 4, 5, 6]
    assert blocks_to_drop(CacheEviction(256, start_tokens=0), 8, 32, None) == [0]


def test_blocks_to_drop_by_score_takes_the_least_attended() -> None:
    eviction = CacheEviction(512, start_tokens=32, recent_tokens=64, by="score")
    scores = np.array([0, 9, 2, 9, 9, 9, 1, 9, 9, 9, 9, 9, 9, 9, 0, 0], np.float32)
    assert blocks_to_drop(eviction, 16, 32, scores) == [2, 6]
    assert blocks_to_drop(eviction, 16, 32, np.ones(16, np.float32)) == [1, 2]


@pytest.mark.parametrize("by", ["position", "score"])
def test_cache_eviction_drops_the_same_tokens_however_a_prompt_is_cut(by: str) -> None:
    size = 4
    eviction = CacheEviction(48, start_tokens=4, by=by).in_blocks(size)  # type: ignore[arg-type]
    kept = [run(eviction, size, Random(seed)) for seed in range(30)]
    assert all(tokens == kept[0] for tokens in kept)
    assert kept[0][:4] == [0, 1, 2, 3]
    assert kept[0][-12:] == list(range(288, 300))


def run(eviction: CacheEviction, size: int, random: Random) -> list[int]:
    """Compute 300 tokens in random chunks; tells which are held at the end."""
    held: list[int] = []
    computed = 0
    while computed < 300:
        limit = min(300 - computed, eviction.max_tokens - len(held))
        chunk = random.randint(1, limit)
        held += range(computed, computed + chunk)
        computed += chunk
        blocks = len(held) // size
        scores = np.array([hash((computed, b)) % 7 for b in held[::size]][:blocks], np.float32)
        for place in reversed(blocks_to_drop(eviction, blocks, size, scores)):
            del held[place * size : (place + 1) * size]
        assert len(held) < eviction.max_tokens
    return held
