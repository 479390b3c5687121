"""Calls over real sockets, from a model that says what it is told."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from support.replies import BERN, TOOLS
from support.servers import Answer, Served

from .conftest import ServeEcho

CALL = f'<tool_call>\n{{"name": "weather", "arguments": {BERN}}}\n</tool_call>'
NOW = '\n<tool_call>\n{"name": "weather_now", "arguments": {}}\n</tool_call>'
MARKS = ("<tool_call>", "</tool_call>", "<think>", "</think>")

MANY = [
    {"type": "function", "function": {"name": f"f{number}", "parameters": {"title": "a" * 4000}}}
    for number in range(100)
]


def ask(served: Served, text: str, **fields: Any) -> Answer:
    """Let the model say a text."""
    messages = [{"role": "user", "content": text}]
    return served.post(
        "/v1/chat/completions", {"messages": messages, "tools": TOOLS, "temperature": 0, **fields}
    )


def choice_of(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    choice: dict[str, Any] = answer.json["choices"][0]
    return choice


def joined(answer: Answer) -> dict[str, Any]:
    """A streamed choice as a whole one."""
    message: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
    calls: list[dict[str, Any]] = []
    reason = None
    for event in answer.events:
        for choice in event["choices"]:
            delta, reason = choice["delta"], choice["finish_reason"]
            for name in ("content", "reasoning_content"):
                if name in delta:
                    message[name] = message.get(name, "") + delta[name]
            for call in delta.get("tool_calls", ()):
                if "id" in call:
                    assert call["index"] == len(calls)
                    assert call["function"]["arguments"] == ""
                    calls.append({name: call[name] for name in ("id", "type", "function")})
                else:
                    assert call["index"] == len(calls) - 1
                    calls[-1]["function"]["arguments"] += call["function"]["arguments"]
    if calls:
        message["tool_calls"] = calls
        message["content"] = message["content"] or None
    return {"message": message, "finish_reason": reason}


def called(choice: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (call["function"]["name"], call["function"]["arguments"])
        for call in choice["message"].get("tool_calls", ())
    ]


@pytest.mark.parametrize("marks", [MARKS, ()], ids=["tokens", "spelled"])
@pytest.mark.parametrize("stream", [False, True])
def test_chat_tells_of_calls(stream: bool, marks: tuple[str, ...], serve_echo: ServeEcho) -> None:
    served = serve_echo('<tool_call> "arguments', marks)

    def told(text: str, **fields: Any) -> dict[str, Any]:
        answer = ask(served, text, stream=stream, **fields)
        return joined(answer) if stream else choice_of(answer)

    choice = told(f"I look. {CALL}{NOW}")
    assert called(choice) == [("weather", BERN), ("weather_now", "{}")]
    assert choice["message"]["content"] == "I look."
    assert choice["finish_reason"] == "tool_calls"
    choice = told(CALL)
    assert (called(choice), choice["message"]["content"]) == ([("weather", BERN)], None)
    choice = told("No call, 1 < 2.")
    assert (called(choice), choice["message"]["content"]) == ([], "No call, 1 < 2.")
    assert choice["finish_reason"] == "stop"
    choice = told(CALL, max_tokens=30)
    assert choice["finish_reason"] == "length"
    choice = told(CALL + NOW, parallel_tool_calls=False)
    assert called(choice) == [("weather", BERN)]


def test_chat_forces_calls(serve_echo: ServeEcho) -> None:
    served = serve_echo('<tool_call> "arguments', MARKS)
    choice = choice_of(ask(served, "No.", tool_choice="required", seed=1, max_tokens=300))
    assert choice["message"]["content"] is None
    name = {"type": "function", "function": {"name": "weather_now"}}
    choice = choice_of(ask(served, CALL, tool_choice=name))
    assert called(choice)[0] == ("weather_now", "{}")
    choice = choice_of(ask(served, CALL, tool_choice="none"))
    assert called(choice) == []
    wrong = CALL.replace("city", "town")
    choice = choice_of(ask(served, wrong, max_tokens=300))
    for _, arguments in called(choice):
        assert "town" not in arguments


def test_tools_are_shown_unless_none_shall_be_called(serve_echo: ServeEcho) -> None:
    served = serve_echo('<tool_call> "arguments', MARKS)
    count = {
        choice: ask(served, "a", tool_choice=choice).json["usage"]["prompt_tokens"]
        for choice in ("auto", "none")
    }
    assert count == {"auto": 5, "none": 3}


@pytest.mark.parametrize(
    ("fields", "problem", "param"),
    [
        ({"tool_choice": "any"}, "tool_choice is", "tool_choice"),
        ({"tool_choice": {"function": {"name": "x"}}}, "names 'x', which is no", "tool_choice"),
        ({"tool_choice": "required", "tools": []}, "there are no tools", "tool_choice"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls is 1", "parallel_tool_calls"),
        ({"tools": [{"function": {"name": "a b"}}]}, "is named 'a b'", "tools"),
        ({"tools": MANY}, "tools cannot be enforced together", "tools"),
        ({"guided_regex": "a"}, "a regex grammar and tools", "tools"),
    ],
)
def test_chat_refuses_tools_that_it_cannot_obey(
    fields: dict[str, Any], problem: str, param: str, serve_echo: ServeEcho
) -> None:
    answer = ask(serve_echo('<tool_call> "arguments'), "a", **fields)
    assert answer.status == 400
    assert problem in answer.error["message"]
    assert answer.error["param"] == param


def test_tools_need_a_known_form(serve_echo: ServeEcho) -> None:
    served = serve_echo("unknown")
    answer = ask(served, "a")
    assert answer.status == 400
    assert "--tool-parser" in answer.error["message"]
    assert choice_of(ask(served, "a", tool_choice="none"))["message"]["content"] == "a"


def test_forms_can_be_named(serve_echo: ServeEcho) -> None:
    served = serve_echo(
        '<tool_call> "arguments </think>', tool_parser="mistral", reasoning_parser="none"
    )
    choice = choice_of(ask(served, f"[TOOL_CALLS]weather[ARGS]{BERN}"))
    assert called(choice) == [("weather", BERN)]
    assert choice_of(ask(served, "<think>a</think>b"))["message"]["content"] == "<think>a</think>b"


@pytest.mark.parametrize("stream", [False, True])
def test_text_that_spells_special_tokens_stays(stream: bool, serve_echo: ServeEcho) -> None:
    marks = ("[TOOL_CALLS]", "[ARGS]")
    served = serve_echo("none", marks, tool_parser="mistral", reasoning_parser="none")
    value = "a<mark>b<tool>"
    schema = {"type": "object", "properties": {"city": {"enum": [value]}}, "required": ["city"],
              "additionalProperties": False}  # fmt: skip
    tool = {"type": "function", "function": {"name": "weather", "parameters": schema}}

    def told(**fields: Any) -> dict[str, Any]:
        answer = ask(served, "a", stream=stream, seed=1, **fields)
        return joined(answer) if stream else choice_of(answer)

    ((name, arguments),) = called(
        told(tools=[tool], tool_choice="required", parallel_tool_calls=False)
    )
    assert (name, json.loads(arguments)) == ("weather", {"city": value})
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"enum": [value]}}}
    assert json.loads(told(tools=[], response_format=form)["message"]["content"]) == value


def test_calls_and_results_go_back_to_the_template(serve_echo: ServeEcho) -> None:
    served = serve_echo('<tool_call> "arguments', MARKS)
    message = choice_of(ask(served, CALL))["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "Sun"}
    messages = [{"role": "user", "content": "a"}, message, result]
    body = {"messages": messages, "tools": TOOLS, "temperature": 0}
    text = served.post("/apply-template", body).json["prompt"]
    assert f"<mark>(weather {BERN})<mark>Sun" in text
    answer = served.post("/v1/chat/completions", body)
    assert choice_of(answer)["message"]["content"] == "Sun"


def test_an_answer_beside_calls_follows_its_schema(serve_echo: ServeEcho) -> None:
    served = serve_echo('<tool_call> "arguments', MARKS)
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"],
              "additionalProperties": False}  # fmt: skip
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    choice = choice_of(ask(served, '{"a":3}', response_format=form))
    assert choice["message"]["content"] == '{"a":3}'
    choice = choice_of(ask(served, CALL, response_format=form))
    assert called(choice) == [("weather", BERN)]


def test_openai_client_puts_a_stream_together(serve_echo: ServeEcho) -> None:
    served = serve_echo('<tool_call> "arguments', MARKS)
    client = openai.OpenAI(base_url=served.url, api_key="any", max_retries=0)
    with client.chat.completions.stream(
        model="echo",
        messages=[{"role": "user", "content": f"I look. {CALL}{NOW}"}],
        tools=TOOLS,  # type: ignore[arg-type]
        temperature=0,
    ) as stream:
        completion = stream.get_final_completion()
    choice = completion.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "I look."
    assert choice.message.tool_calls is not None
    found = [(call.function.name, call.function.arguments) for call in choice.message.tool_calls]
    assert found == [("weather", BERN), ("weather_now", "{}")]
    assert json.loads(found[0][1]) == {"city": "Bern"}
