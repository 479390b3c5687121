"""Preempted requests, replicas and streams follow a grammar as all others do."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.fake_llms import BLOCK_BYTES
from support.grammar_llms import JSON_BACKEND
from support.replicas import write_plugin

from nanoaccel import LLM, CacheEviction, Grammar, SamplingParams
from nanoaccel.errors import SamplingError
from nanoaccel.runtime.sampling import GrammarCompiler
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.text import Tokenizer

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 8, "maxLength": 20},
        "age": {"const": 7},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
PARAMS = SamplingParams(grammar=Grammar.json_schema(SCHEMA), temperature=1.0, seed=3)
PROMPTS = [f"prompt {number}" for number in range(6)]


def texts(llm: LLM) -> list[str]:
    outputs = llm.generate(PROMPTS, PARAMS)
    assert {output.finish_reason for output in outputs} == {"stop"}
    return [output.text for output in outputs]


def test_preempted_requests_write_the_same(open_llm: Any, plain: LLM, json_bundle: Path) -> None:
    small = open_llm(json_bundle, kv_cache_memory=26 * BLOCK_BYTES, context_length=100)
    assert texts(small) == texts(plain)
    assert small.counters().preemptions > 0


@pytest.mark.parametrize("by", ["position", "score"])
def test_requests_that_keep_few_tokens_end_validly(
    open_llm: Any, json_bundle: Path, by: Any
) -> None:
    llm = open_llm(json_bundle, cache_eviction=CacheEviction(24, start_tokens=4, by=by))
    for text in texts(llm):
        assert json.loads(text)["age"] == 7


def test_stream_gives_forced_tokens_as_they_come(plain: LLM) -> None:
    chunks = list(plain.stream("x", PARAMS))
    assert json.loads("".join(chunk.text for chunk in chunks))["age"] == 7
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == sum(len(chunk.token_ids) for chunk in chunks)


def test_speed_counts_forced_tokens(plain: LLM) -> None:
    before = plain.counters().generated_tokens
    output = plain.generate("x", PARAMS)
    assert plain.counters().generated_tokens - before == len(output.token_ids)


@pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs of Linux"
)
def test_replicas_follow_grammars(
    json_bundle: Path, plain: LLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = texts(plain)
    monkeypatch.undo()
    plugin = write_plugin(tmp_path / "plugin", JSON_BACKEND, "support.grammar_llms:JsonBackend")
    monkeypatch.syspath_prepend(plugin)
    with LLM(json_bundle, backend=JSON_BACKEND, replicas=2, speculation="off") as llm:
        assert texts(llm) == expected
        with pytest.raises(SamplingError, match="JSON schema"):
            llm.generate("x", SamplingParams(grammar=Grammar.json_schema({"$ref": "#"})))


def test_request_with_forced_tokens_decodes_until_it_is_preempted(json_bundle: Path) -> None:
    tokenizer = Tokenizer.load(json_bundle)
    params = SamplingParams(grammar=Grammar.regex("[ab]cdefg[hi]"))
    assert params.grammar is not None
    request = Request(
        1,
        tokenizer.encode("a prompt"),
        params,
        max_tokens=20,
        tokenizer=tokenizer,
        vocab_size=tokenizer.vocab_size,
        seed=0,
        index=0,
        grammar=GrammarCompiler(tokenizer).compile(params.grammar),
    )
    assert not request.decodes
    request.num_computed = request.num_known
    request.append(request.sample(np.zeros(tokenizer.vocab_size, np.float32)), 0.0)
    forced = list(request.append_forced(0.0))
    assert "".join(chunk.text for chunk in forced) == "cdefg"
    assert request.num_pending == 6
    assert request.decodes
    request.begin_again()
    assert not request.decodes
