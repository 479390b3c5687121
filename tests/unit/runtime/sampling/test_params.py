import dataclasses
import math

import pytest

from nanoaccel.errors import ConfigError, SamplingError
from nanoaccel.runtime.sampling import MAX_LOGPROBS, SamplingParams


def test_params_default_is_greedy() -> None:
    params = SamplingParams()
    assert params.greedy
    assert params.logprobs is None


def test_params_temperature_above_zero_is_not_greedy() -> None:
    assert not SamplingParams(temperature=1e-10).greedy


def test_params_are_frozen_and_named() -> None:
    params = SamplingParams()
    with pytest.raises(dataclasses.FrozenInstanceError):
        params.top_k = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        SamplingParams(10)  # type: ignore[call-arg]


def test_params_one_stop_string_becomes_a_tuple() -> None:
    assert SamplingParams(stop="END").stop == ("END",)  # type: ignore[arg-type]
    assert SamplingParams(stop=["a", "b"]).stop == ("a", "b")  # type: ignore[arg-type]


def test_params_copy_what_the_caller_may_change() -> None:
    bias = {1: 2.0}
    params = SamplingParams(logit_bias=bias)
    bias[1] = 9.0
    assert params.logit_bias == {1: 2.0}


@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": 0},
        {"max_tokens": 3, "min_tokens": 4},
        {"min_tokens": -1},
        {"n": 0, "temperature": 1.0},
        {"n": 2},
        {"logprobs": -1},
        {"logprobs": MAX_LOGPROBS + 1},
        {"stop": ("a", "")},
        {"stop_token_ids": (5, -1)},
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"min_p": 1.1},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": 1e-30},
        {"repetition_penalty": 1e30},
        {"presence_penalty": 2.1},
        {"frequency_penalty": -2.1},
        {"logit_bias": {-1: 1.0}},
        {"logit_bias": {1: math.nan}},
        {"logit_bias": {1: -math.inf}},
        {"logit_bias": {1: 1e39}},
    ],
)
def test_params_refuse(options: dict[str, object]) -> None:
    with pytest.raises(SamplingError) as caught:
        SamplingParams(**options)  # type: ignore[arg-type]
    assert isinstance(caught.value, ConfigError)
    assert caught.value.remedy is not None
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": None, "min_tokens": 1000},
        {"max_tokens": 4, "min_tokens": 4},
        {"n": 3, "temperature": 0.5},
        {"logprobs": 0},
        {"top_p": 1},
        {"min_p": 1},
        {"presence_penalty": -2, "frequency_penalty": 2},
        {"logit_bias": {0: -100, 7: 100}},
    ],
)
def test_params_allow(options: dict[str, object]) -> None:
    params = SamplingParams(**options)  # type: ignore[arg-type]
    assert all(getattr(params, name) == value for name, value in options.items())
