from __future__ import annotations

from dataclasses import replace

import pytest

from nanoaccel.errors import ConfigError, EmptyPromptError, SamplingError
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions

PARAMS = SamplingParams(
    n=3,
    temperature=1.0,
    seed=5,
    max_tokens=12,
    ignore_eos=True,
    repetition_penalty=1.3,
    frequency_penalty=0.5,
)


def test_process_makes_a_request_for_each_completion(llm: LLM) -> None:
    options = RequestOptions(priority=2, timeout=60.0)
    first = llm.client.process("abc", PARAMS, options)
    second = llm.client.process([1, 2], PARAMS, options)
    assert [request.id for request in [*first, *second]] == sorted(
        {request.id for request in [*first, *second]}
    )
    assert [request.index for request in first] == [0, 1, 2]
    assert [request.seed for request in first] == [5, 6, 7]
    assert {tuple(request.prompt_ids) for request in second} == {(1, 2)}
    assert all(request.options is options for request in first)
    assert {request.params.temperature for request in first} == {1.0}
    assert {request.priority for request in first} == {2}
    assert llm.counters().submitted == 0


def test_process_cuts_a_text_to_what_fits(llm: LLM) -> None:
    (request,) = llm.client.process([1] * 60, SamplingParams(max_tokens=100), None)
    assert request.max_tokens == llm.context_length - 60 == 4


def test_completions_are_those_of_requests_with_their_seeds(llm: LLM) -> None:
    together = llm.generate("abc", PARAMS).completions
    alone = [llm.generate("abc", replace(PARAMS, n=1, seed=5 + place)) for place in range(3)]
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]
    assert len({one.token_ids for one in together}) == 3


@pytest.mark.parametrize(
    ("prompt", "params", "error"),
    [
        ("", None, EmptyPromptError),
        ("abc", SamplingParams(logit_bias={10_000: 1.0}), SamplingError),
        ("abc", RequestOptions(), ConfigError),
    ],
)
def test_process_refuses_before_anything_is_queued(
    llm: LLM, prompt: str, params: SamplingParams, error: type[Exception]
) -> None:
    with pytest.raises(error):
        llm.client.process(prompt, params, None)
