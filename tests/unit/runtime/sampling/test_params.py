import dataclasses
import math

import numpy as np
import pytest

from nanoaccel.errors import ConfigError, SamplingError
from nanoaccel.runtime.sampling import MAX_LOGPROBS, MAX_PROMPT_LOGPROBS, SamplingParams


def test_params_leave_the_choice_of_tokens_to_the_model() -> None:
    params = SamplingParams()
    open_ones = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "logprobs")
    assert all(getattr(params, name) is None for name in open_ones)


@pytest.mark.parametrize("name", [item.name for item in dataclasses.fields(SamplingParams)])
def test_params_none_is_the_default(name: str) -> None:
    wanted = None if name == "max_tokens" else getattr(SamplingParams(), name)
    assert getattr(SamplingParams(**{name: None}), name) == wanted


def test_params_take_whole_numbers_of_any_kind_and_ids_as_json_writes_them() -> None:
    params = SamplingParams(
        max_tokens=8.0,  # type: ignore[arg-type]
        n=np.int64(2),  # type: ignore[arg-type]
        temperature=np.float32(0.5),  # type: ignore[arg-type]
        logit_bias={"5": 3.0},  # type: ignore[dict-item]
        stop_token_ids=np.array([3, 4]),  # type: ignore[arg-type]
    )
    assert (params.max_tokens, params.n, params.temperature) == (8, 2, 0.5)
    assert [type(value) for value in (params.max_tokens, params.n, params.temperature)] == [
        int,
        int,
        float,
    ]
    assert params.logit_bias == {5: 3.0}
    assert params.stop_token_ids == (3, 4)


def test_params_say_what_to_write_instead_of_a_text() -> None:
    with pytest.raises(SamplingError, match=r"Give it without quotes: temperature=0\.7"):
        SamplingParams(temperature="0.7")  # type: ignore[arg-type]
    with pytest.raises(SamplingError, match=r"Give a number: temperature=0\.7"):
        SamplingParams(temperature="hot")  # type: ignore[arg-type]


WRONG = ["x", "0.5", True, b"x", [1], {"a": 1}, {1}, ..., 1.5, math.nan, 1j, np.arange(2)]
IDS = ("stop_token_ids", "kept_special_tokens")
FINE = {
    "stop": ("x", "0.5"),
    "ignore_eos": (True,),
    "skip_special_tokens": (True,),
    "temperature": (1.5,),
    "repetition_penalty": (1.5,),
    "presence_penalty": (1.5,),
    "frequency_penalty": (1.5,),
}


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize("name", [item.name for item in dataclasses.fields(SamplingParams)])
def test_params_refuse_every_wrong_type_by_name(name: str, value: object) -> None:
    if any(value is one for one in FINE.get(name, ())):
        SamplingParams(**{name: value})
    elif name in IDS and isinstance(value, list | set | np.ndarray):
        assert getattr(SamplingParams(**{name: value}), name)
    else:
        with pytest.raises(SamplingError, match=name) as caught:
            SamplingParams(**{name: value})
        assert caught.value.remedy is not None
        assert "\n" not in str(caught.value)


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
        {"max_tokens": -1},
        {"max_tokens": 3, "min_tokens": 4},
        {"min_tokens": -1},
        {"n": 0, "temperature": 1.0},
        {"logprobs": -1},
        {"logprobs": MAX_LOGPROBS + 1},
        {"prompt_logprobs": -1},
        {"prompt_logprobs": MAX_PROMPT_LOGPROBS + 1},
        {"prompt_logprobs": True},
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
        {"n": 2},
        {"n": 2, "temperature": 0},
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
