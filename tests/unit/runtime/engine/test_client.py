"""What options do that reach the engine through ``LLM``."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_llms import BLOCK_BYTES, CONTEXT, WatchedBackend, write_bundle

from nanoaccel.errors import (
    BundleError,
    ConfigError,
    NanoAccelError,
    PromptCacheError,
    RequestError,
)
from nanoaccel.runtime.engine import assembly as loading
from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.types.outputs import RequestOutput

SHORT = SamplingParams(max_tokens=5, ignore_eos=True)
LONG = SamplingParams(max_tokens=60, ignore_eos=True)
PROMPT = "the keeper of the light writes it down"
BY_POSITION = CacheEviction(16, start_tokens=4)
BY_SCORE = CacheEviction(16, start_tokens=4, by="score")


def ask(folder: Path, **options: object) -> tuple[RequestOutput, int]:
    """Open a bundle and ask it something; how many tokens came from disk."""
    with LLM(folder, **options) as llm:  # type: ignore[arg-type]
        output = llm.generate(PROMPT, SHORT)
        return output, llm.counters().restored_tokens


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_waiting": 0}, "max_waiting=0 is out of range"),
        ({"max_running": -1}, "max_running=-1 is out of range"),
        ({"time_per_token": -1.0}, "time_per_token=-1.0 is out of range"),
        ({"kv_cache_memory": BLOCK_BYTES - 1}, "kv_cache_memory=31 holds no cache block"),
        ({"kv_cache_memory": 1 << 60}, "is more than the .* bytes that are free. Lower it"),
        ({"eviction_policy": "lrru"}, "there is no eviction policy 'lrru'. Did you mean 'lru'?"),
        ({"prompt_cache": "x", "prefix_cache": False}, "prompt_cache needs the prefix cache"),
        ({"cache_eviction": CacheEviction(16)}, "max_tokens=16 leaves no room"),
    ],
)
def test_client_refuses_options(
    folder: Path, backends: list[WatchedBackend], options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        LLM(folder, **options)  # type: ignore[arg-type]
    assert [backend.closings for backend in backends] in ([], [1])


def test_client_refuses_a_folder_that_is_no_bundle(folder: Path) -> None:
    with pytest.raises(BundleError):
        LLM(folder / "absent")


def test_client_without_prefix_cache_computes_everything(folder: Path) -> None:
    with LLM(folder, prefix_cache=False) as llm:
        texts = {llm.generate(PROMPT, SHORT).text for _ in range(3)}
        assert (len(texts), llm.counters().hit_tokens) == (1, 0)
        assert llm.counters().cached_blocks == 0


@pytest.mark.parametrize("policy", ["lru", "lfu", "cost"])
def test_client_finds_prompts_again_with_any_policy(folder: Path, policy: str) -> None:
    with LLM(folder, eviction_policy=policy, kv_cache_memory=BLOCK_BYTES * 20) as llm:
        first = llm.generate(PROMPT, SHORT)
        for place in range(20):
            llm.generate([place] * 20, SHORT)
            assert llm.generate(PROMPT, SHORT).text == first.text
        assert llm.counters().evictions > 0
        llm.client.thread.engine.check_integrity()


def test_client_restores_prompts_after_a_restart(
    folder: Path, tmp_path: Path, backends: list[WatchedBackend]
) -> None:
    cache = tmp_path / "cache"
    plain, _ = ask(folder)
    first, none = ask(folder, prompt_cache=cache)
    again, restored = ask(folder, prompt_cache=str(cache))
    assert first.text == again.text == plain.text
    assert (none, restored) == (0, 36)
    assert again.stats.cached_tokens == 36
    assert [backend.closings for backend in backends] == [1, 1, 1]


def test_client_does_not_restore_what_another_model_computed(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    other = write_bundle(tmp_path / "other", graph="<net version='2'/>")
    ask(folder, prompt_cache=cache)
    assert ask(other, prompt_cache=cache)[1] == 0
    assert ask(other, prompt_cache=cache)[1] == 36
    assert ask(folder, prompt_cache=cache)[1] == 36


def test_client_saves_what_ran_when_it_is_closed(folder: Path, tmp_path: Path) -> None:
    with LLM(folder, prompt_cache=tmp_path / "cache") as llm:
        stream = llm.stream(PROMPT, LONG)
        next(stream)
    assert ask(folder, prompt_cache=tmp_path / "cache")[1] == 36


def test_client_refuses_a_prompt_cache_that_cannot_be(
    folder: Path, tmp_path: Path, backends: list[WatchedBackend]
) -> None:
    with pytest.raises(PromptCacheError, match=r"bundle/config\.json cannot be used"):
        LLM(folder, prompt_cache=folder / "config.json")
    with pytest.raises(PromptCacheError, match="may take 9 bytes, a block takes"):
        LLM(folder, prompt_cache=tmp_path / "cache", prompt_cache_size=9)
    with LLM(folder, prompt_cache=tmp_path / "cache") as llm:
        with pytest.raises(PromptCacheError, match="is in use by this process"):
            LLM(folder, prompt_cache=tmp_path / "cache")
        assert llm.generate("abc", SHORT).finish_reason == "length"
    assert [backend.closings for backend in backends] == [1, 1, 1, 1]
    assert ask(folder, prompt_cache=tmp_path / "cache")[0].finish_reason == "length"


@pytest.mark.parametrize("eviction", [BY_POSITION, BY_SCORE])
def test_client_evicts_tokens_of_all_requests(folder: Path, eviction: CacheEviction) -> None:
    with LLM(folder) as plain:
        whole = plain.generate("abc", LONG)
    with LLM(folder, cache_eviction=eviction, kv_cache_memory=BLOCK_BYTES * 4) as llm:
        assert llm.context_length == CONTEXT
        output = llm.generate("abc", LONG)
        assert output.finish_reason == "length"
        assert len(output.token_ids) == 60
        assert output.token_ids[:13] == whole.token_ids[:13]
        assert output.token_ids != whole.token_ids
        assert llm.generate(["abc"] * 3, LONG)[2].text == output.text


def test_client_evicts_tokens_of_one_request(folder: Path) -> None:
    with LLM(folder, kv_cache_memory=BLOCK_BYTES * 8) as llm:
        assert llm.context_length == 32
        bounded = llm.generate("abc", LONG, RequestOptions(cache_eviction=BY_POSITION))
        assert len(bounded.token_ids) == 60
        assert len(llm.generate("abc", LONG).token_ids) == 29


@pytest.mark.parametrize(
    ("eviction", "error", "message"),
    [
        (BY_SCORE, RequestError, "by='score' needs attention scores"),
        (CacheEviction(9), ConfigError, "max_tokens=9 leaves no room"),
    ],
)
def test_client_refuses_the_eviction_of_a_request(
    llm: LLM, eviction: CacheEviction, error: type[NanoAccelError], message: str
) -> None:
    with pytest.raises(error, match=message):
        llm.generate("abc", SHORT, RequestOptions(cache_eviction=eviction))
    assert llm.generate("abc", SHORT).finish_reason == "length"


def test_client_that_scores_takes_any_eviction_of_a_request(folder: Path) -> None:
    with LLM(folder, cache_eviction=BY_SCORE) as llm:
        for eviction in (None, BY_SCORE, BY_POSITION, CacheEviction(20, start_tokens=0)):
            output = llm.generate("abc", LONG, RequestOptions(cache_eviction=eviction))
            assert output.finish_reason == "length"


def test_client_that_cannot_be_opened_leaves_the_prompt_cache_to_others(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the graph broke")

    cache = tmp_path / "prompts"
    with monkeypatch.context() as patched:
        patched.setattr(loading, "measure_verification", broken)
        with pytest.raises(RuntimeError, match="the graph broke"):
            LLM(folder, prompt_cache=cache)
    LLM(folder, prompt_cache=cache).close()
