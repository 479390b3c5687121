"""Thoughts, calls and forms of answers, as the clients of responses and messages get them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel
from support.grammar_llms import JsonBackend
from support.replies import BERN, TOOLS
from support.scripted_texts import Speaker, write_speaker
from support.servers import Served, serving

from nanoaccel import registry

SAYS = (
    "<think>\nhm, hm\n</think>\n\nLet me see.\n<tool_call>\n"
    f'{{"name": "weather", "arguments": {BERN}}}\n</tool_call>'
)
FUNCTIONS: list[Any] = [{"type": "function", **tool["function"]} for tool in TOOLS]
CUSTOM: list[Any] = [
    {
        "name": tool["function"]["name"],
        "input_schema": tool["function"].get("parameters", {"type": "object"}),
    }
    for tool in TOOLS
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_speaker(tmp_path / "speaker")


@pytest.fixture
def speaker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server whose model thinks, says something and calls a tool."""
    monkeypatch.setattr(
        registry.BACKENDS, "resolve", lambda _: lambda options: Speaker(options, SAYS)
    )
    with serving(folder, tool_parser="hermes", reasoning_parser="think") as served:
        yield served


@pytest.fixture
def babbler(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server whose model says anything that it may."""
    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: JsonBackend)
    with serving(folder, tool_parser="hermes", reasoning_parser="none") as served:
        yield served


def openai_client(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=served.url, api_key="any", max_retries=0)


def anthropic_client(served: Served) -> anthropic.Anthropic:
    url = served.url.removesuffix("/v1")
    return anthropic.Anthropic(base_url=url, api_key="any", max_retries=0)


@pytest.mark.parametrize("stream", [False, True])
def test_response_has_thoughts_text_and_call(stream: bool, speaker: Served) -> None:
    asked: dict[str, Any] = {"model": "speaker", "input": "Weather?", "tools": FUNCTIONS}
    with openai_client(speaker) as client:
        if stream:
            with client.responses.stream(**asked) as streamed:
                kinds = [event.type for event in streamed]
                response: Any = streamed.get_final_response()
            assert "response.reasoning_text.delta" in kinds
            done = kinds.index("response.function_call_arguments.done")
            assert kinds[done - 1] == "response.function_call_arguments.delta"
        else:
            response = client.responses.create(**asked)
    thought, message, call = response.output
    assert (thought.type, thought.content[0].text.strip()) == ("reasoning", "hm, hm")
    assert (message.type, message.content[0].text.strip()) == ("message", "Let me see.")
    assert (call.type, call.name, json.loads(call.arguments)) == (
        "function_call", "weather", {"city": "Bern"},
    )  # fmt: skip
    assert (call.status, response.status) == ("completed", "completed")
    assert 0 < response.usage.output_tokens_details.reasoning_tokens < response.usage.output_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_message_has_thoughts_text_and_call(stream: bool, speaker: Served) -> None:
    asked: dict[str, Any] = {
        "model": "speaker",
        "max_tokens": 400,
        "messages": [{"role": "user", "content": "Weather?"}],
        "tools": CUSTOM,
        "thinking": {"type": "adaptive"},
    }
    with anthropic_client(speaker) as client:
        if stream:
            with client.messages.stream(**asked) as streamed:
                message: Any = streamed.get_final_message()
        else:
            message = client.messages.create(**asked)
    thought, text, call = message.content
    assert (thought.type, thought.thinking.strip()) == ("thinking", "hm, hm")
    assert (text.type, text.text.strip()) == ("text", "Let me see.")
    assert (call.type, call.name, call.input) == ("tool_use", "weather", {"city": "Bern"})
    assert message.stop_reason == "tool_use"


def test_conversation_with_a_call_goes_on(speaker: Served) -> None:
    with openai_client(speaker) as client:
        first = client.responses.create(model="speaker", input="Weather?", tools=FUNCTIONS)
        items: list[Any] = [{"role": "user", "content": "Weather?"}, *first.output]
        call = first.output[-1]
        assert call.type == "function_call"
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": "Sun"})
        second = client.responses.create(model="speaker", input=items, tools=FUNCTIONS)
    assert second.usage is not None
    assert first.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens
    with anthropic_client(speaker) as other:
        asked: dict[str, Any] = {"model": "speaker", "max_tokens": 200, "tools": CUSTOM}
        messages: list[Any] = [{"role": "user", "content": "Weather?"}]
        message = other.messages.create(**asked, messages=messages)
        result = {"type": "tool_result", "tool_use_id": message.content[-1].id, "content": "Sun"}  # type: ignore[union-attr]
        messages += [message.to_param(), {"role": "user", "content": [result]}]
        assert other.messages.create(**asked, messages=messages).stop_reason == "tool_use"


def test_required_call_is_made(babbler: Served) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    with openai_client(babbler) as client:
        tool: Any = {"type": "function", "name": "check", "parameters": schema}
        response = client.responses.create(
            model="speaker",
            input="Check!",
            tools=[tool],
            tool_choice="required",
            parallel_tool_calls=False,
            max_output_tokens=300,
        )
    (call,) = [item for item in response.output if item.type == "function_call"]
    assert json.loads(call.arguments).keys() == {"ok"}
    with anthropic_client(babbler) as other:
        choice: Any = {"type": "tool", "name": "check", "disable_parallel_tool_use": True}
        message = other.messages.create(
            model="speaker",
            max_tokens=300,
            messages=[{"role": "user", "content": "Check!"}],
            tools=[{"name": "check", "input_schema": schema}],
            tool_choice=choice,
        )
    (used,) = [block for block in message.content if block.type == "tool_use"]
    assert isinstance(used.input["ok"], bool)
    assert message.stop_reason == "tool_use"


class Verdict(BaseModel):
    ok: bool
    kind: str = ""


def test_answer_has_the_form_that_was_asked_for(babbler: Served) -> None:
    with openai_client(babbler) as client:
        response = client.responses.parse(
            model="speaker", input="Well?", text_format=Verdict, max_output_tokens=300
        )
    assert isinstance(response.output_parsed, Verdict)
    with anthropic_client(babbler) as other:
        message = other.messages.parse(
            model="speaker",
            max_tokens=300,
            messages=[{"role": "user", "content": "Well?"}],
            output_format=Verdict,
        )
    assert isinstance(message.parsed_output, Verdict)
