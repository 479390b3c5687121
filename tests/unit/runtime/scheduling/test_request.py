from __future__ import annotations

import pytest

from nanoaccel.runtime.kv.token_eviction import CacheEviction
from nanoaccel.runtime.sampling import Sampled, SamplingParams
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.testing.engines import LETTERS, VOCAB_SIZE, letter_tokenizer
from nanoaccel.text import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return letter_tokenizer(tmp_path_factory.mktemp("letters"))


def make(tokenizer: Tokenizer, eviction: CacheEviction | None = None) -> Request:
    return Request(
        0,
        [1, 2, 3],
        SamplingParams(max_tokens=20, stop=("xyz",)),
        max_tokens=20,
        tokenizer=tokenizer,
        vocab_size=VOCAB_SIZE,
        seed=0,
        index=0,
        eviction=eviction,
    )


def test_request_holds_what_was_computed_and_not_evicted(tokenizer: Tokenizer) -> None:
    request = make(tokenizer, CacheEviction(64))
    request.start(0.0, 0)
    assert (request.num_cached, request.chunk_limit) == (0, 64)
    request.num_computed = 64
    assert request.chunk_limit == 0
    request.num_evicted = 32
    assert (request.num_cached, request.chunk_limit) == (32, 32)


def test_request_without_eviction_has_no_chunk_limit(tokenizer: Tokenizer) -> None:
    assert make(tokenizer).chunk_limit is None


def test_request_that_gives_up_its_blocks_begins_anew(tokenizer: Tokenizer) -> None:
    request = make(tokenizer, CacheEviction(64))
    request.start(1.0, 2)
    request.num_computed, request.num_evicted = 64, 32
    request.begin_again()
    assert (request.num_computed, request.num_evicted, request.num_cached) == (0, 0, 0)


def test_request_tells_when_it_first_started_and_what_was_cached(tokenizer: Tokenizer) -> None:
    request = make(tokenizer)
    request.submit(1.0)
    request.start(3.0, 2)
    request.begin_again()
    request.num_preemptions += 1
    request.start(5.0, 1)
    assert request.num_computed == 1
    stats = request.finish("cancelled", 6.0).stats
    assert stats is not None
    assert (stats.queued, stats.cached_tokens, stats.preemptions) == (2.0, 2, 1)


def test_request_that_times_out_delivers_its_text_so_far(tokenizer: Tokenizer) -> None:
    request = make(tokenizer)
    chunks = [request.append(Sampled(LETTERS.index(letter)), 1.0) for letter in "abxy"]
    chunks.append(request.finish("timeout", 2.0))
    assert "".join(chunk.text for chunk in chunks) == "abxy"
    assert chunks[-1].finish_reason == request.finish_reason == "timeout"


def test_request_that_meets_a_stop_string_delivers_the_text_before_it(tokenizer: Tokenizer) -> None:
    request = make(tokenizer)
    chunks = [request.append(Sampled(LETTERS.index(letter)), 1.0) for letter in "abxxyz"]
    assert "".join(chunk.text for chunk in chunks) == "abx"
    assert chunks[-1].finish_reason == "stop"


def test_request_leaves_its_last_token_to_the_target(tokenizer: Tokenizer) -> None:
    request = make(tokenizer)
    assert request.draft_limit(3) == 19
    for _ in range(18):
        request.append(Sampled(LETTERS.index("a")), 1.0)
    assert request.draft_limit(request.num_known) == 1
    request.append(Sampled(LETTERS.index("a")), 1.0)
    assert request.draft_limit(request.num_known) == 0


def test_request_that_forgets_has_draft_tokens_up_to_its_bound(tokenizer: Tokenizer) -> None:
    request = make(tokenizer, CacheEviction(64))
    assert request.draft_limit(60) == 4
    request.num_evicted = 8
    assert request.draft_limit(60) == 12
    assert make(tokenizer, CacheEviction(64, by="score")).draft_limit(60) == 0
