"""OpenAI's client of responses, and what its users send, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from support.fake_llms import WatchedBackend
from support.servers import Answer, Served

ASKED: dict[str, Any] = {"model": "letters", "input": "abc", "max_output_tokens": 3}
TOOL: dict[str, Any] = {"type": "function", "name": "look", "parameters": {"type": "object"}}
PATH = "/v1/responses"


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.url, api_key="any", max_retries=0) as opened:
        yield opened


def part(kind: str, text: str) -> dict[str, str]:
    return {"type": kind, "text": text}


def events_of(answer: Answer) -> list[dict[str, Any]]:
    events = answer.named_events
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def test_openai_gets_a_response(client: openai.OpenAI) -> None:
    response = client.responses.create(
        model="letters", input="abc", instructions="xy", metadata={"for": "me"}, store=True
    )
    assert response.status == "completed"
    assert response.output_text == "abcdefghijklmnopqrstuvwxyz"
    assert (response.store, response.metadata) == (False, {"for": "me"})
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 27)
    assert response.usage.total_tokens == 34
    assert response.id.startswith("resp_")


def test_response_that_is_cut_says_so(client: openai.OpenAI) -> None:
    response = client.responses.create(**ASKED)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output_text == "abc"
    (item,) = response.output
    assert item.type == "message"
    assert item.status == "incomplete"


def test_openai_streams_a_response(client: openai.OpenAI) -> None:
    with client.responses.stream(model="letters", input="abc") as stream:
        kinds = [event.type for event in stream]
        response = stream.get_final_response()
    assert response.output_text == "abcdefghijklmnopqrstuvwxyz"
    assert response.usage is not None
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[4:-4] == ["response.output_text.delta"] * 26
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_events_are_numbered_and_end_with_the_response(served: Served) -> None:
    events = events_of(served.post(PATH, {**ASKED, "stream": True}))
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "abc"
    assert events[0]["response"]["status"] == "in_progress"
    assert {event["item_id"] for event in events if "item_id" in event} == {
        events[-1]["response"]["output"][0]["id"]
    }


def test_logprobs_are_told(client: openai.OpenAI) -> None:
    include: Any = ["message.output_text.logprobs"]
    response = client.responses.create(**ASKED, include=include, top_logprobs=2)
    message = response.output[0]
    assert message.type == "message"
    part = message.content[0]
    assert part.type == "output_text"
    assert part.logprobs is not None
    assert [entry.token for entry in part.logprobs] == list("abc")
    assert all(len(entry.top_logprobs) == 2 for entry in part.logprobs)


def test_items_reach_the_template(served: Served) -> None:
    items = [
        {"role": "developer", "content": "d"},
        {"role": "user", "content": [part("input_text", "a")]},
        {"type": "reasoning", "id": "rs", "summary": [part("summary_text", "hm")]},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": 1}'},
        {"type": "function_call", "call_id": "c2", "name": "look", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": "b"},
        {"type": "function_call_output", "call_id": "c2", "output": [part("input_text", "c")]},
        {"type": "message", "role": "assistant", "content": [part("output_text", "xyza")]},
        {"role": "user", "content": "m"},
    ]  # fmt: skip
    told = served.post(PATH, {**ASKED, "instructions": "s", "input": items}).json
    # s\n\nd. a. (call) . b. c. xyza. m.
    assert told["usage"]["input_tokens"] == 19


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"input": None}, "input is missing"),
        ({"input": 7}, "input is 7"),
        ({"input": [7]}, "must be an object"),
        ({"input": [{"type": "image_generation_call"}]}, "is of type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "keeps none"),
        ({"input": [{"role": "robot", "content": "x"}]}, "role is"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "reads text only"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "called"),
        (
            {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"}]},
            "not JSON",
        ),
        ({"previous_response_id": "resp_1"}, "stateless"),
        ({"conversation": "conv_1"}, "stateless"),
        ({"prompt": {"id": "p"}}, "stateless"),
        ({"background": True}, "stateless"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["file_search_call.results"]}, "include holds"),
        ({"top_logprobs": 2}, "needs message.output_text.logprobs"),
        ({"n": 2}, "n is not supported"),
        ({"tools": [{"type": "web_search"}]}, "Send functions"),
        ({"tool_choice": "required"}, "there are no tools"),
        ({"tool_choice": {"type": "function", "name": "b"}, "tools": [TOOL]}, "is no tool"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice is"),
        ({"text": {"format": {"type": "json_schema"}}}, "with a schema"),
        ({"reasoning": {"effort": "huge"}}, "effort"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"max_output_tokens": -1}, "max_tokens=-1"),
        ({"max_output_tokens": 62}, "more than the context of 64"),
    ],
)  # fmt: skip
def test_what_cannot_be_obeyed_is_refused(
    changes: dict[str, Any], told: str, served: Served
) -> None:
    answer = served.post(PATH, {**ASKED, **changes})
    assert answer.status == 400
    assert told in answer.error["message"]


def test_failure_in_mid_stream_is_the_last_event(
    served: Served, backend: WatchedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise ValueError("broken")

    served.post(PATH, ASKED)
    monkeypatch.setattr(backend, "forward", fail)
    last = events_of(served.post(PATH, {**ASKED, "stream": True}))[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"]["code"] == "server_error"
    assert served.post(PATH, ASKED).status == 500


def test_openai_counts_input_tokens(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="letters", input="abc", instructions="xy")
    assert counted.input_tokens == 7


def test_what_is_not_read_is_named(served: Served) -> None:
    answer = served.post(PATH, {**ASKED, "user": "me", "return_progress": True})
    assert answer.headers["x-nanoaccel-ignored"] == "user, return_progress"


def test_path_works_without_v1(served: Served) -> None:
    assert served.post("/responses", ASKED).json["output"][0]["content"][0]["text"] == "abc"
