from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.engines import LETTERS, VOCAB_SIZE, letter_tokenizer

from nanoaccel import registry
from nanoaccel.errors import (
    EmptyPromptError,
    NanoAccelError,
    PromptTooLongError,
    RequestError,
    SamplingError,
)
from nanoaccel.runtime.backends.fake import FakeBackend, hashed
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams

TEMPLATE = "{% for message in messages %}{{ message['content'] }}.{% endfor %}"
SHORT = SamplingParams(max_tokens=5, ignore_eos=True)


@pytest.fixture(autouse=True)
def _fake_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(name: str) -> object:
        assert name == "openvino"
        return lambda _: FakeBackend(hashed(VOCAB_SIZE), VOCAB_SIZE)

    monkeypatch.setattr(registry.BACKENDS, "resolve", resolve)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    letter_tokenizer(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(TEMPLATE)
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 64}')
    return tmp_path


@pytest.fixture
def llm(folder: Path) -> Iterator[LLM]:
    with LLM(folder) as opened:
        yield opened


def test_llm_one_prompt_gives_one_output(llm: LLM) -> None:
    output = llm.generate("abc", SHORT)
    assert output.prompt_token_ids == (0, 1, 2)
    assert output.text == "".join(LETTERS[token] for token in output.token_ids)
    assert output.finish_reason == "length"
    assert (output.usage.prompt_tokens, output.usage.completion_tokens) == (3, 5)
    assert (output.error, output.logprobs) == (None, ())
    assert output.stats.total >= 0


def test_llm_list_gives_a_list_in_order(llm: LLM) -> None:
    prompts = ["abc", [3, 4], [{"role": "user", "content": "ab"}], "z"]
    outputs = llm.generate(prompts, SHORT)
    assert [output.prompt_token_ids[0] for output in outputs] == [0, 3, 0, 25]
    for prompt, output in zip(prompts, outputs, strict=True):
        assert output.token_ids == llm.generate(prompt, SHORT).token_ids
    assert llm.generate([], SHORT) == []


def test_llm_numpy_integers_are_token_ids(llm: LLM) -> None:
    ids = list(np.array([1, 2, 3]))
    assert llm.generate(ids, SHORT).prompt_token_ids == (1, 2, 3)


def test_llm_messages_go_through_the_chat_template(llm: LLM) -> None:
    output = llm.generate([{"role": "user", "content": "hi"}], SHORT)
    assert "".join(LETTERS[token] for token in output.prompt_token_ids) == "hi."


def test_llm_stream_gives_the_same_text_in_pieces(llm: LLM) -> None:
    chunks = list(llm.stream("abc", SHORT))
    whole = llm.generate("abc", SHORT)
    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert [chunk.finish_reason for chunk in chunks] == [None] * 4 + ["length"]
    assert chunks[-1].usage == whole.usage
    assert chunks[-1].stats is not None


def test_llm_n_completions_differ_and_repeat_with_the_seed(llm: LLM) -> None:
    params = SamplingParams(max_tokens=8, temperature=1.0, n=3, seed=5, ignore_eos=True)
    output = llm.generate("abc", params)
    texts = [completion.text for completion in output.completions]
    assert len(set(texts)) == 3
    assert [completion.text for completion in llm.generate("abc", params).completions] == texts
    assert output.usage.completion_tokens == 24
    streamed = [chunk for chunk in llm.stream("abc", params) if chunk.index == 1]
    assert "".join(chunk.text for chunk in streamed) == texts[1]


def test_llm_without_seed_gives_another_text_each_time(llm: LLM) -> None:
    params = SamplingParams(max_tokens=20, temperature=2.0, ignore_eos=True)
    assert llm.generate("abc", params).text != llm.generate("abc", params).text


def test_llm_max_tokens_none_fills_the_context(llm: LLM) -> None:
    output = llm.generate("abc", SamplingParams(max_tokens=None, ignore_eos=True))
    assert output.finish_reason == "length"
    assert len(output.token_ids) == 64 - 3


@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        ("", EmptyPromptError, "the prompt is empty"),
        ([[]], EmptyPromptError, "the prompt is empty"),
        ("a" * 64, PromptTooLongError, "has 64 tokens; 63 fit"),
        ([1, 999], RequestError, "999 is not a token id from 0 to"),
        ([1, -1], RequestError, "-1 is not a token id"),
        ([1, "a"], RequestError, "'a' is not a token id"),
        ([None], RequestError, "NoneType is not a prompt"),
        (5, RequestError, "int is not a prompt"),
        ({"role": "user"}, RequestError, "dict is not a prompt"),
        (b"abc", RequestError, "bytes is not a prompt"),
        (["abc", ""], EmptyPromptError, "the prompt is empty"),
    ],
)
def test_llm_bad_prompts_are_refused_before_anything_runs(
    llm: LLM, prompt: object, error: type[NanoAccelError], message: str
) -> None:
    with pytest.raises(error, match=message):
        llm.generate(prompt, SHORT)  # type: ignore[call-overload]


def test_llm_stream_refuses_at_once(llm: LLM) -> None:
    with pytest.raises(EmptyPromptError):
        llm.stream("")
    with pytest.raises(SamplingError):
        llm.stream("abc", SamplingParams(logit_bias={999: 1.0}))
    llm.close()
    with pytest.raises(NanoAccelError, match="closed"):
        llm.stream("abc")


def test_llm_logit_bias_beyond_the_vocabulary_is_refused(llm: LLM) -> None:
    with pytest.raises(SamplingError):
        llm.generate("abc", SamplingParams(logit_bias={999: 1.0}))
    assert llm.generate("abc", SHORT).finish_reason == "length"


def test_llm_closed_stream_cancels_its_request(llm: LLM) -> None:
    stream = llm.stream("abc", SHORT)
    next(stream)
    assert llm._engine.has_work
    stream.close()
    assert not llm._engine.has_work
    llm._engine.check_integrity()


def test_llm_stream_that_is_never_read_costs_nothing(llm: LLM) -> None:
    stream = llm.stream("abc", SHORT)
    del stream
    gc.collect()
    assert not llm._engine.has_work


def test_llm_two_streams_interleave(llm: LLM) -> None:
    first, second = llm.stream("abc", SHORT), llm.stream("xyz", SHORT)
    pairs = list(zip(first, second, strict=True))
    assert "".join(a.text for a, _ in pairs) == llm.generate("abc", SHORT).text
    assert "".join(b.text for _, b in pairs) == llm.generate("xyz", SHORT).text


def test_llm_threads_share_it(llm: LLM) -> None:
    prompts = [chr(ord("a") + place) * 3 for place in range(8)]
    expected = [llm.generate(prompt, SHORT).text for prompt in prompts]
    found: dict[int, str] = {}

    def work(place: int) -> None:
        found[place] = llm.generate(prompts[place], SHORT).text

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[place] for place in range(8)] == expected


def test_llm_close_cancels_what_runs_and_refuses_what_comes(llm: LLM) -> None:
    stream = llm.stream("abc", SHORT)
    next(stream)
    llm.close()
    assert [chunk.finish_reason for chunk in stream] == ["cancelled"]
    llm.close()
    with pytest.raises(NanoAccelError, match="closed"):
        llm.generate("abc", SHORT)


def test_llm_small_cache_limits_the_prompt(folder: Path) -> None:
    with LLM(folder, kv_cache_memory=2 * 16) as small:
        assert small.context_length == 8
        with pytest.raises(PromptTooLongError, match="has 8 tokens; 7 fit"):
            small.generate("a" * 8, SHORT)


def test_llm_names_its_backend(llm: LLM) -> None:
    assert llm.backend.name == "fake"
