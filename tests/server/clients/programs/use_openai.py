"""openai: tools, streamed too, by its helpers; responses; embeddings. argv: three addresses."""

from __future__ import annotations

import asyncio
import json
import sys
from string import ascii_lowercase
from typing import Any, Literal

import pytest
from openai import AsyncOpenAI, BadRequestError, OpenAI, pydantic_function_tool
from pydantic import BaseModel

LETTERS, JSON, CALLS = sys.argv[1:]
HI: list[Any] = [{"role": "user", "content": "abc"}]


class Weather(BaseModel):
    """Tell the weather."""

    city: str
    days: int


class Switch(BaseModel):
    on: Literal[True, False]


def client(url: str, *, strict: bool = True) -> OpenAI:
    return OpenAI(base_url=url, api_key="any", max_retries=0, _strict_response_validation=strict)


async def streamed_call() -> Any:
    asked: Any = {"model": "calls", "messages": HI, "tools": [pydantic_function_tool(Weather)]}
    async with (
        AsyncOpenAI(base_url=CALLS, api_key="any", max_retries=0) as opened,
        opened.chat.completions.stream(**asked) as stream,
    ):
        kinds = [event.type async for event in stream]
        assert "tool_calls.function.arguments.delta" in kinds, kinds
        assert kinds.count("tool_calls.function.arguments.done") == 1, kinds
        return await stream.get_final_completion()


with client(CALLS) as opened:
    tools = [pydantic_function_tool(Weather)]
    parsed = opened.chat.completions.parse(model="calls", messages=HI, tools=tools)
    for completion in (parsed, asyncio.run(streamed_call())):
        (choice,) = completion.choices
        assert choice.finish_reason == "tool_calls", completion
        assert choice.message.content == "I look.", completion
        (call,) = choice.message.tool_calls
        assert call.function.parsed_arguments == Weather(city="Bern", days=3), completion
    # What the call gave goes back.
    said = parsed.choices[0].message.to_dict(mode="json")
    result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "rain"}
    again = opened.chat.completions.create(model="calls", messages=[*HI, said, result])
    assert again.choices[0].message.content, again
    with pytest.raises(BadRequestError, match="which is no tool"):
        opened.chat.completions.create(
            model="calls",
            messages=HI,
            tools=tools,
            tool_choice={"type": "function", "function": {"name": "other"}},
        )

    function: Any = {"type": "function", **tools[0]["function"]}
    response = opened.responses.create(model="calls", input="abc", tools=[function])
    message, used = response.output
    assert response.output_text == "I look.", response
    assert json.loads(used.arguments) == {"city": "Bern", "days": 3}, response
    output = {"type": "function_call_output", "call_id": used.call_id, "output": "rain"}
    goes_on: Any = [*HI, message.to_dict(), used.to_dict(), output]
    response = opened.responses.create(model="calls", input=goes_on)
    assert response.status == "completed", response

with client(LETTERS) as opened:
    response = opened.responses.create(model="letters", input="abc", max_output_tokens=3)
    assert (response.output_text, response.status) == ("abc", "incomplete"), response
    assert response.usage.output_tokens == 3, response
    with opened.responses.stream(model="letters", input="abc") as stream:
        texts = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(texts) == final.output_text == ascii_lowercase, final
    counted = opened.responses.input_tokens.count(model="letters", input="abc")
    assert counted.input_tokens == 4, counted

# The client asks for base64 unless it is told otherwise, which its strict mode takes for an error.
with client(LETTERS, strict=False) as opened:
    made = opened.embeddings.create(model="letters", input=["abc", "x"])
    plain = opened.embeddings.create(model="letters", input="abc", encoding_format="float")
    assert [one.index for one in made.data] == [0, 1], made
    assert made.data[0].embedding == pytest.approx(plain.data[0].embedding), made
    assert sum(number**2 for number in plain.data[0].embedding) == pytest.approx(1), plain

with client(JSON) as opened:
    parsed = opened.responses.parse(
        model="json", input="a", text_format=Switch, max_output_tokens=60
    )
    assert isinstance(parsed.output_parsed, Switch), parsed
    forced = opened.chat.completions.create(
        model="json", messages=HI, tools=[pydantic_function_tool(Switch)], tool_choice="required",
        parallel_tool_calls=False, max_tokens=100,
    )  # fmt: skip
    (call,) = forced.choices[0].message.tool_calls
    assert isinstance(json.loads(call.function.arguments)["on"], bool), forced
