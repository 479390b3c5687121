"""pydantic-ai: whole, streamed, by schema, with tools; argv: three addresses."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput, ToolOutput, UsageLimitExceeded, UsageLimits
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

LETTERS, JSON, CALLS = sys.argv[1:]


class Keeper(BaseModel):
    age: int = Field(ge=0, le=99)


def agent(url: str, name: str, tokens: int, **options: Any) -> Agent[None, Any]:
    model = OpenAIChatModel(name, provider=OpenAIProvider(base_url=url, api_key="any"))
    return Agent(model, model_settings={"max_tokens": tokens}, retries=0, **options)


async def streamed() -> str:
    async with agent(LETTERS, "letters", 3).run_stream("abc") as result:
        parts = [part async for part in result.stream_text(delta=True, debounce_by=None)]
    return "".join(parts)


result = agent(LETTERS, "letters", 3).run_sync("abc")
assert result.output == "abc", result
assert asyncio.run(streamed()) == "abc"
result = agent(JSON, "json", 40, output_type=NativeOutput(Keeper)).run_sync("a")
assert 0 <= result.output.age <= 99, result

# By a tool that it must call.
by_tool = agent(JSON, "json", 80, output_type=ToolOutput(Keeper))
assert 0 <= by_tool.run_sync("a").output.age <= 99


async def streamed_output() -> Keeper:
    async with by_tool.run_stream("a") as stream:
        keeper: Keeper = await stream.get_output()
        return keeper


assert 0 <= asyncio.run(streamed_output()).age <= 99

asked: list[tuple[str, int]] = []
caller = agent(CALLS, "calls", 200)


@caller.tool_plain(name="Weather")
def weather(city: str, days: int) -> str:
    """Tell the weather."""
    asked.append((city, days))
    return "rain"


# This model calls again and again.
with pytest.raises(UsageLimitExceeded):
    caller.run_sync("abc", usage_limits=UsageLimits(request_limit=2))
assert asked[0] == ("Bern", 3), asked
