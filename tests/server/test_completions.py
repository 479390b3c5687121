from __future__ import annotations

import pytest
from support.servers import Served


def test_completion_goes_on(served: Served) -> None:
    told = served.post("/v1/completions", {"prompt": "abc", "model": "letters"}).json
    assert told["object"] == "text_completion"
    assert told["choices"][0]["text"] == "defghijklmnopqrs"
    assert told["usage"]["completion_tokens"] == 16
    served.post("/completions", {"prompt": "x"})


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ([0, 1], ["cd"]),
        (["a", "k"], ["bc", "lm"]),
        ([[0], [10]], ["bc", "lm"]),
        (["a", [10]], ["bc", "lm"]),
    ],
)
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("stream", [False, True])
def test_completion_takes_every_prompt(
    prompt: list[object], texts: list[str], n: int, stream: bool, served: Served
) -> None:
    asked = {"prompt": prompt, "n": n, "max_tokens": 2, "stream": stream}
    answer = served.post("/v1/completions", asked)
    written = [""] * (len(texts) * n)
    for part in answer.events if stream else [answer.json]:
        for choice in part["choices"]:
            written[choice["index"]] += choice["text"]
    assert written == [text for text in texts for _ in range(n)]


def test_completion_echoes(served: Served) -> None:
    asked = {"prompt": ["ab", [10]], "echo": True, "max_tokens": 1}
    choices = served.post("/v1/completions", asked).json["choices"]
    assert [choice["text"] for choice in choices] == ["abc", "kl"]
    answer = served.post("/v1/completions", {**asked, "stream": True})
    assert [part["choices"][0]["text"] for part in answer.events] == ["ab", "k", "c", "l"]


@pytest.mark.parametrize("stream", [False, True])
def test_completion_tells_logprobs(stream: bool, served: Served) -> None:
    asked = {"prompt": "a", "logprobs": 1, "max_tokens": 3, "stream": stream}
    answer = served.post("/v1/completions", asked)
    parts = answer.events if stream else [answer.json]
    told = [part["choices"][0]["logprobs"] for part in parts]
    assert [token for one in told for token in one["tokens"]] == ["b", "c", "d"]
    assert [place for one in told for place in one["text_offset"]] == [0, 1, 2]
    assert all(list(top) == [token] for one in told
               for top, token in zip(one["top_logprobs"], one["tokens"], strict=True))  # fmt: skip
