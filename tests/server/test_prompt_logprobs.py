"""``echo`` with ``logprobs``, and ``prompt_logprobs``, of ``/v1/completions``."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.disk_tiers import wait_until
from support.fake_llms import WatchedBackend
from support.servers import Served, serving

from nanoaccel.server.config import Limits

Choice = dict[str, Any]


def told(served: Served, asked: dict[str, Any]) -> list[Choice]:
    """The choices of an answer, by index; parts of a stream put together."""
    answer = served.post("/v1/completions", asked)
    parts = answer.events if asked.get("stream") else [answer.json]
    choices: dict[int, Choice] = {}
    for part in parts:
        for choice in part["choices"]:
            known = choices.setdefault(choice["index"], choice)
            if known is not choice:
                known["text"] += choice["text"]
                known["finish_reason"] = choice["finish_reason"]
                for name, values in (choice["logprobs"] or {}).items():
                    known["logprobs"][name] += values
    return [choices[index] for index in sorted(choices)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("prompt", ["abd", [0, 1, 3]])
@pytest.mark.parametrize("max_tokens", [0, 2])
def test_echo_tells_the_logprobs_of_the_prompt(
    served: Served, stream: bool, prompt: object, max_tokens: int
) -> None:
    asked = {"prompt": prompt, "echo": True, "logprobs": 1, "stream": stream}
    (choice,) = told(served, {**asked, "max_tokens": max_tokens})
    written = "ef"[:max_tokens]
    assert choice["text"] == "abd" + written
    assert choice["finish_reason"] == "length"
    logprobs = choice["logprobs"]
    assert logprobs["tokens"] == [*"abd", *written]
    assert logprobs["text_offset"] == list(range(3 + max_tokens))
    assert logprobs["token_logprobs"][0] is None
    assert logprobs["top_logprobs"][0] is None
    likely, unlikely = logprobs["token_logprobs"][1:3]
    assert unlikely == pytest.approx(likely - 10)
    assert [list(top) for top in logprobs["top_logprobs"][1:3]] == [["b"], ["c"]]
    assert logprobs["top_logprobs"][1] == {"b": likely}


@pytest.mark.parametrize("stream", [False, True])
def test_every_choice_echoes_the_logprobs_of_its_prompt(served: Served, stream: bool) -> None:
    asked = {"prompt": ["ab", "kl" * 20], "echo": True, "logprobs": 0, "n": 2, "max_tokens": 1}
    choices = told(served, {**asked, "stream": stream})
    assert [choice["text"] for choice in choices] == ["abc"] * 2 + ["kl" * 20 + "m"] * 2
    for choice in choices:
        assert choice["logprobs"]["tokens"] == list(choice["text"])
        assert choice["logprobs"]["token_logprobs"][0] is None
        assert None not in choice["logprobs"]["token_logprobs"][1:]
        assert choice["logprobs"]["top_logprobs"][1:] == [{}] * (len(choice["text"]) - 1)


def test_echo_of_a_prompt_that_was_not_computed_has_no_logprobs(
    served: Served, backend: WatchedBackend
) -> None:
    asked = {"prompt": "abc", "echo": True, "logprobs": 1}
    waiting = 'num_requests_waiting{model_name="letters"} 1'
    backend.hold()
    with ThreadPoolExecutor() as others:
        others.submit(told, served, asked)
        backend.wait_until_held()
        late = others.submit(told, served, {**asked, "timeout": 0.01})
        wait_until(lambda: waiting in served.get("/metrics").body.decode(), "the late request")
        time.sleep(0.05)
        backend.go_on()
        (choice,) = late.result()
    assert choice["text"] == "abc"
    assert choice["logprobs"]["token_logprobs"] == [None] * 3


@pytest.mark.parametrize("stream", [False, True])
def test_no_token_may_be_asked_for(served: Served, stream: bool) -> None:
    asked = {"prompt": "abc", "echo": True, "max_tokens": 0, "stream": stream}
    (choice,) = told(served, asked)
    assert (choice["text"], choice["finish_reason"]) == ("abc", "length")
    answer = served.post("/v1/completions", {"prompt": "abc", "max_tokens": 0}).json
    assert answer["usage"]["completion_tokens"] == 0


def test_prompt_logprobs_are_told_as_vllm_does(served: Served) -> None:
    asked = {"prompt": "ac", "prompt_logprobs": 2, "max_tokens": 1, "n": 2}
    for choice in told(served, asked):
        assert choice["text"] == "d"
        first, second = choice["prompt_logprobs"]
        assert first is None
        assert list(second) == ["2", "1", "0"]
        assert second["1"]["rank"] == 1
        assert second["2"]["rank"] is None
        assert second["2"]["decoded_token"] == "c"
        assert second["2"]["logprob"] == pytest.approx(second["1"]["logprob"] - 10)


def test_scores_of_an_answer_are_limited(letters: Path) -> None:
    with serving(letters, limits=Limits(scores=12)) as served:
        asked = {"prompt": ["abc", "d"], "echo": True, "logprobs": 2, "max_tokens": 0}
        assert served.post("/v1/completions", asked).status == 200
        for more in ({"n": 2}, {"logprobs": 3}, {"prompt": ["abc", "de"]}):
            answer = served.post("/v1/completions", {**asked, **more})
            assert (answer.status, answer.error["param"]) == (400, "logprobs")


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt_logprobs": 21},
        {"prompt_logprobs": 1, "stream": True},
        {"echo": True, "logprobs": 21},
        {"max_tokens": -1},
    ],
)
def test_prompt_logprobs_refuse(served: Served, asked: dict[str, Any]) -> None:
    answer = served.post("/v1/completions", {"prompt": "a", **asked})
    assert answer.status == 400
