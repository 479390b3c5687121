"""``/v1/embeddings``, as OpenAI's client asks and as others do."""

from __future__ import annotations

import base64
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from support.disk_tiers import wait_until
from support.fake_llms import WatchedBackend
from support.servers import Served, serving

from nanoaccel.testing.engines import LETTERS

PATH = "/v1/embeddings"


def last_state(text: str) -> np.ndarray[Any, Any]:
    """What the fake backend tells of a text's last letter, as a unit."""
    tokens = np.array([1 + LETTERS.index(letter) for letter in text])
    total = (tokens * (1 + np.arange(len(text)))).sum()
    state = np.array([tokens[-1], len(text), total], np.float64)
    return state / np.linalg.norm(state)


def vectors(served: Served, **asked: Any) -> list[Any]:
    told = served.post(PATH, asked).json
    assert told["object"] == "list"
    assert [item["index"] for item in told["data"]] == list(range(len(told["data"])))
    return [item["embedding"] for item in told["data"]]


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("abc", ["abc"]),
        (["abc", "ka"], ["abc", "ka"]),
        ([0, 1, 2], ["abc"]),
        ([[0, 1, 2], [10]], ["abc", "k"]),
        (["a" * n for n in range(1, 41)], ["a" * n for n in range(1, 41)]),
    ],
)
def test_embeddings_take_every_input(served: Served, given: Any, texts: list[str]) -> None:
    found = vectors(served, input=given)
    np.testing.assert_allclose(found, [last_state(text) for text in texts], rtol=1e-5)


@pytest.mark.parametrize("path", [PATH, "/embeddings"])
def test_embeddings_tell_usage_and_model(served: Served, path: str) -> None:
    told = served.post(path, {"input": ["abc", "d"], "model": "letters", "user": "me"})
    assert told.json["model"] == "letters"
    assert told.json["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert told.headers["x-nanoaccel-ignored"] == "user"


def test_embeddings_in_base64_are_those_in_numbers(served: Served) -> None:
    (numbers,) = vectors(served, input="abc")
    (coded,) = vectors(served, input="abc", encoding_format="base64")
    assert np.frombuffer(base64.b64decode(coded), "<f4").tolist() == numbers


def test_embeddings_are_cut_and_pooled(served: Served) -> None:
    (cut,) = vectors(served, input="abc", dimensions=2)
    wanted = last_state("abc")[:2]
    np.testing.assert_allclose(cut, wanted / np.linalg.norm(wanted), rtol=1e-5)
    (mean,) = vectors(served, input="abc", pooling="mean")
    assert len(mean) == 3
    assert not np.allclose(mean, last_state("abc"))


def test_openai_embeds(served: Served) -> None:
    with openai.OpenAI(base_url=served.url, api_key="any", max_retries=0) as client:
        answer = client.embeddings.create(model="letters", input=["abc", "kl"], dimensions=3)
    assert answer.usage.total_tokens == 5
    np.testing.assert_allclose(
        [item.embedding for item in answer.data], [last_state("abc"), last_state("kl")], rtol=1e-5
    )


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({}, "input is missing"),
        ({"input": ""}, "prompt is empty"),
        ({"input": []}, "input is missing"),
        ({"input": ["a", 3]}, "input[1]"),
        ({"input": ["a"] * 2049}, "At most 2048"),
        ({"input": "a" * 65}, "65 tokens"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions=0"),
        ({"input": "a", "dimensions": 4}, "dimensions=4"),
        ({"input": "a", "dimensions": "2"}, "dimensions='2'"),
        ({"input": "a", "pooling": "max"}, "pooling='max'"),
        ({"input": "a", "model": "other"}, "other"),
    ],
)
def test_embeddings_refuse(served: Served, asked: dict[str, Any], reason: str) -> None:
    answer = served.post(PATH, asked)
    assert answer.status == (404 if "model" in asked else 400)
    assert reason in answer.error["message"]


def test_embeddings_run_beside_completions(served: Served, backend: WatchedBackend) -> None:
    backend.seconds = 0.005
    long = {"prompt": "a", "max_tokens": 20}
    with ThreadPoolExecutor() as others:
        writing = [others.submit(served.post, "/v1/completions", long) for _ in range(3)]
        found = vectors(served, input=["abc", "d"])
        assert {answer.result().status for answer in writing} == {200}
    np.testing.assert_allclose(found, [last_state("abc"), last_state("d")], rtol=1e-5)


def test_embeddings_end_with_their_time_and_with_a_full_queue(
    letters: Path, backends: list[WatchedBackend]
) -> None:
    with serving(letters, engine={"max_running": 1, "max_waiting": 1}) as served:
        backends[0].hold()
        waiting = 'num_requests_waiting{model_name="letters"} 1'
        with ThreadPoolExecutor() as others:
            others.submit(served.post, "/v1/completions", {"prompt": "a", "max_tokens": 2})
            backends[0].wait_until_held()
            late = others.submit(served.post, PATH, {"input": "a", "timeout": 0.01})
            wait_until(lambda: waiting in served.get("/metrics").body.decode(), "the late one")
            refused = served.post(PATH, {"input": "a"})
            time.sleep(0.05)
            backends[0].go_on()
            assert late.result().status == 408
        assert refused.status == 429
