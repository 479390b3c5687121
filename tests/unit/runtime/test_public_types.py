"""Whatever a user gives, the answer is a result or an error of NanoAccel."""

from __future__ import annotations

import asyncio
import math
import os
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.bundle import Bundle, find_context_length
from nanoaccel.errors import (
    BundleError,
    ConfigError,
    ForkedError,
    NanoAccelError,
    PromptTooLongError,
)
from nanoaccel.runtime.async_llm import AsyncLLM
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions

WRONG = [b"x", "no such", 1.5, math.nan, 1j, [1.5], {"a": 1}, ..., -3]
SHORT = SamplingParams(max_tokens=3, ignore_eos=True)


def is_ours(call: Callable[[], object]) -> None:
    try:
        call()
    except NanoAccelError as error:
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize("kind", [EngineConfig, RequestOptions, CacheEviction])
def test_options_of_a_wrong_type_are_refused_by_our_errors(kind: Any, value: object) -> None:
    for item in fields(kind):
        given = {"max_tokens": 64, item.name: value} if kind is CacheEviction else None
        is_ours(lambda item=item, given=given: kind(**(given or {item.name: value})))


@pytest.mark.parametrize("kind", [EngineConfig, RequestOptions])
def test_options_none_is_the_default(kind: Any) -> None:
    assert kind(**{item.name: None for item in fields(kind)}) == kind()


def test_options_sizes_may_be_written_for_people() -> None:
    config = EngineConfig(kv_cache_memory="1GB", prompt_cache_size="1.5 GiB")  # type: ignore[arg-type]
    assert (config.kv_cache_memory, config.prompt_cache_size) == (10**9, 3 << 29)


@pytest.mark.parametrize("value", [None, *WRONG], ids=repr)
def test_llm_calls_with_a_wrong_type_are_refused_by_our_errors(llm: LLM, value: Any) -> None:
    is_ours(lambda: llm.generate(value, SHORT))
    is_ours(lambda: llm.generate([value], SHORT))
    is_ours(lambda: llm.generate("abc", value))
    is_ours(lambda: llm.generate("abc", SHORT, value))
    is_ours(lambda: llm.stream(value, SHORT).close())
    is_ours(lambda: llm.stream("abc", SHORT, value).close())


@pytest.mark.parametrize("value", [None, *WRONG], ids=repr)
def test_llm_of_a_wrong_type_is_refused_by_our_errors(folder: Path, value: Any) -> None:
    is_ours(lambda: LLM(value))
    if value is not None:
        is_ours(lambda: LLM(folder, backend="openvino", replicas=value))
        is_ours(lambda: LLM(folder, on_event=value).close())


def test_llm_takes_params_for_each_prompt(llm: LLM) -> None:
    params = [SamplingParams(max_tokens=count, ignore_eos=True) for count in (2, 4)]
    outputs = llm.generate(["ab", "cd"], params, [None, RequestOptions(priority=1)])
    assert [len(output.token_ids) for output in outputs] == [2, 4]
    with pytest.raises(ConfigError, match="params is a list of 2 for 3 prompts"):
        llm.generate(["a", "b", "c"], params)
    with pytest.raises(ConfigError, match="options is a list of 1 for 2 prompts"):
        llm.generate(["a", "b"], SHORT, [RequestOptions()])


def test_llm_greedy_completions_are_equal(llm: LLM) -> None:
    output = llm.generate("abc", SamplingParams(n=3, max_tokens=4, temperature=0, ignore_eos=True))
    assert len({completion.token_ids for completion in output.completions}) == 1
    assert str(output).startswith("[1] ")


def test_llm_samples_as_the_model_says_unless_told_otherwise(folder: Path) -> None:
    params = [SamplingParams(max_tokens=12, seed=seed, ignore_eos=True) for seed in range(6)]
    (folder / "generation_config.json").write_text('{"do_sample": true, "temperature": 2.0}')
    with LLM(folder) as llm:
        assert len({one.token_ids for one in llm.generate(["ab"] * 6, params)}) > 1
        greedy = llm.generate("ab", SamplingParams(max_tokens=12, temperature=0, ignore_eos=True))
    with LLM(folder, generation_config="off") as llm:
        assert {one.token_ids for one in llm.generate(["ab"] * 6, params)} == {greedy.token_ids}


def test_llm_context_length_is_set_and_named_as_the_way_out(folder: Path) -> None:
    with LLM(folder, context_length=16) as llm:
        assert llm.context_length == 16
        with pytest.raises(PromptTooLongError, match=r"raise context_length=16: .* own is 64"):
            llm.generate("a" * 16)
    with LLM(folder) as llm, pytest.raises(PromptTooLongError, match="made for 64 tokens"):
        llm.generate("a" * 64)
    with pytest.raises(ConfigError, match="context_length=65 is more than the 64 tokens"):
        LLM(folder, context_length=65)
    with (
        LLM(folder, kv_cache_memory=8 * 32) as llm,
        pytest.raises(PromptTooLongError, match="kv_cache_memory"),
    ):
        llm.generate("a" * 40)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_llm_in_a_fork_says_so_at_once(llm: LLM) -> None:
    with llm.stream("abc", SamplingParams(max_tokens=40, ignore_eos=True)) as stream:
        next(stream)
        child = os.fork()
        if child == 0:
            told = 0
            calls = [lambda: llm.generate("a"), lambda: llm.stream("a"), llm.counters]
            for call in [*calls, lambda: next(stream)]:
                try:
                    call()
                except ForkedError:
                    told += 1
            llm.close()
            os._exit(told)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
    assert len(llm.generate("abc", SHORT).token_ids) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_async_llm_in_a_fork_says_so_at_once(folder: Path) -> None:
    llm = AsyncLLM(folder)
    child = os.fork()
    if child == 0:
        told = 0
        for call in (lambda: llm.stream("a"), lambda: asyncio.run(llm.generate("a"))):
            try:
                call()
            except ForkedError:
                told += 1
        os._exit(told)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert len(asyncio.run(llm.generate("abc", SHORT)).token_ids) == 3
    asyncio.run(llm.close())


def test_llm_documents_each_option_as_the_engine_does() -> None:
    def rows(text: str | None) -> dict[str, str]:
        found = re.findall(r"(?ms)^        (\w+): (.*?)(?=^        \w+: |^$)", text or "")
        return {name: " ".join(said.split()) for name, said in found}

    engine, face = rows(EngineConfig.__doc__), rows(LLM.__doc__)
    for name in ("quantization_group", "fuse_projections", "engines"):
        del engine[name]
    assert {name: face.get(name) for name in engine} == engine


def test_bundle_named_as_on_the_hub_names_the_command() -> None:
    with pytest.raises(BundleError, match=r"nanoaccel export no-such-org/Model-1 Model-1"):
        Bundle.open("no-such-org/Model-1")


@pytest.mark.parametrize(
    ("rope", "tokens"),
    [
        (None, 1000),
        ({"rope_type": "default"}, 1000),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 800}, 3200),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 250}, 1000),
        ({"type": "yarn", "factor": 2.0}, 2000),
        ({"rope_type": "linear", "factor": 4}, 4000),
        ({"rope_type": "dynamic", "factor": 4}, 1000),
        ({"rope_type": "llama3", "factor": 8, "original_max_position_embeddings": 125}, 1000),
        ({"rope_type": "longrope", "factor": 8, "original_max_position_embeddings": 125}, 1000),
        ({"full_attention": {"rope_type": "linear", "factor": 8}}, 1000),
    ],
)
def test_context_length_counts_scaled_positions_once(rope: object, tokens: int) -> None:
    for name in ("rope_parameters", "rope_scaling"):
        config = {"max_position_embeddings": 1000, name: rope}
        assert find_context_length(config) == tokens
        assert find_context_length({"text_config": config}) == tokens
