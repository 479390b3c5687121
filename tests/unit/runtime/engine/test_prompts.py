from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pytest
from support.fake_llms import write_bundle

from nanoaccel.errors import EmptyPromptError, NanoAccelError, PromptTooLongError, RequestError
from nanoaccel.runtime.engine.prompts import PromptEncoder, is_single
from nanoaccel.testing.engines import VOCAB_SIZE
from nanoaccel.text import ChatOptions, Tokenizer

HI = {"role": "user", "content": "hi"}


@pytest.fixture
def encoder(tmp_path: Path) -> PromptEncoder:
    return PromptEncoder(Tokenizer.load(write_bundle(tmp_path)), VOCAB_SIZE)


@pytest.mark.parametrize(
    ("prompt", "ids"),
    [
        ("abc", [0, 1, 2]),
        ([3, 4], [3, 4]),
        ((3, 4), [3, 4]),
        (range(3), [0, 1, 2]),
        ([np.int64(3), np.int32(4)], [3, 4]),
        ([HI], [7, 8, 27]),
        ((HI,), [7, 8, 27]),
        ([HI, {"role": "assistant", "content": "a"}], [7, 8, 27, 0, 27]),
        ("a" * 9, [0] * 9),
    ],
)
def test_prompt_becomes_token_ids(encoder: PromptEncoder, prompt: object, ids: list[int]) -> None:
    found = encoder.encode(prompt, 10)  # type: ignore[arg-type]
    assert found == ids
    assert {type(token) for token in found} == {int}


@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        ("", EmptyPromptError, "the prompt is empty. Give it at least one word"),
        ([], EmptyPromptError, "the prompt is empty"),
        ("a" * 10, PromptTooLongError, "the prompt has 10 tokens; 9 fit. Shorten it"),
        ([1, VOCAB_SIZE], RequestError, f"{VOCAB_SIZE} is not a token id from 0 to"),
        ([1, -1], RequestError, "-1 is not a token id"),
        ([1, "a"], RequestError, "'a' is not a token id"),
        ([1, 2.0], RequestError, "2.0 is not a token id"),
        ([1, HI], RequestError, "is not a token id"),
        (None, RequestError, "NoneType is not a prompt. A prompt is a string, a list of token"),
        (5, RequestError, "int is not a prompt"),
        (HI, RequestError, "dict is not a prompt"),
        (b"abc", RequestError, "bytes is not a prompt"),
    ],
)
def test_prompt_that_is_none_is_refused(
    encoder: PromptEncoder, prompt: object, error: type[NanoAccelError], message: str
) -> None:
    with pytest.raises(error, match=message):
        encoder.encode(prompt, 10)  # type: ignore[arg-type]


def test_prompt_with_a_token_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_bundle(tmp_path))
    encoder = PromptEncoder(tokenizer, 2)
    assert encoder.encode("ab", 10) == [0, 1]
    for prompt in ("abc", [{"role": "user", "content": "c"}]):
        with pytest.raises(
            RequestError, match=r"\(id \d+\), and the model's tokens end at 1\. Leave"
        ):
            encoder.encode(prompt, 10)
    with pytest.raises(RequestError, match="the prompt holds the token 'c' \\(id 2\\)"):
        encoder.encode("abc", 10)


def test_options_of_a_chat_need_messages(encoder: PromptEncoder) -> None:
    options = ChatOptions(add_generation_prompt=False)
    assert encoder.encode([HI], 10, options)
    for prompt in ("hi", [1, 2]):
        with pytest.raises(RequestError, match="the prompt is no list of messages"):
            encoder.encode(prompt, 10, options)


@pytest.mark.parametrize("prompt", ["abc", "", [1, 2], (1,), [np.int64(1)], [HI], range(1, 9)])
def test_is_single_knows_one_prompt(prompt: object) -> None:
    assert is_single(prompt)  # type: ignore[arg-type]


@pytest.mark.parametrize("prompts", [[], ["abc"], [[1], [2]], ("a", [HI]), [""], deque(["a"])])
def test_is_single_knows_a_list_of_prompts(prompts: object) -> None:
    assert not is_single(prompts)  # type: ignore[arg-type]


@pytest.mark.parametrize("prompts", [None, 5, HI, b"abc", {1, 2}, iter(["a"])])
def test_is_single_refuses_what_is_neither(prompts: object) -> None:
    with pytest.raises(RequestError, match="is not a prompt"):
        is_single(prompts)  # type: ignore[arg-type]
