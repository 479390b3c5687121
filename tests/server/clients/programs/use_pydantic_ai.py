"""pydantic-ai: whole, streamed, by schema; argv: letters' address, JSON's."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

LETTERS, JSON = sys.argv[1:]


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
