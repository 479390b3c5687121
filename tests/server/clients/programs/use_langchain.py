"""langchain-openai: chats, schemas, tools, embeddings; argv: three addresses."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import ToolMessage
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from openai import BadRequestError

LETTERS, JSON, CALLS = sys.argv[1:]
SCHEMA = {
    "title": "Keeper",
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["age"],
    "additionalProperties": False,
}


def chat(url: str = LETTERS, model: str = "letters", **options: Any) -> ChatOpenAI:
    return ChatOpenAI(base_url=url, model=model, api_key="any", max_retries=0, **options)


answer = chat(max_tokens=3).invoke([("system", "ab"), ("human", "c")])
assert answer.content == "abc", answer
assert answer.usage_metadata["output_tokens"] == 3, answer
assert answer.response_metadata["finish_reason"] == "length", answer

parts = list(chat(max_tokens=3, stream_usage=True).stream("abc"))
assert "".join(part.content for part in parts) == "abc", parts
assert sum(part.usage_metadata["output_tokens"] for part in parts if part.usage_metadata) == 3

answers = asyncio.run(chat(max_tokens=2).abatch(["a"] * 8))
assert [one.content for one in answers] == ["ab"] * 8, answers

completion = OpenAI(base_url=LETTERS, model="letters", api_key="any", max_tokens=2).invoke("x")
assert completion == "yz", completion

with pytest.raises(BadRequestError, match="top_p=7"):
    chat(top_p=7).invoke("a")
with pytest.raises(ContextOverflowError, match="more than the context of 64"):
    chat().invoke("a" * 100)

structured = chat(JSON, "json", max_tokens=40).with_structured_output(SCHEMA, method="json_schema")
keeper = structured.invoke("a")
assert 0 <= keeper["age"] <= 99, keeper

WEATHER = {
    "title": "Weather",
    "description": "Tell the weather.",
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
ARGUMENTS = {"city": "Bern", "days": 3}
caller = chat(CALLS, "calls").bind_tools([WEATHER])
answer = caller.invoke("abc")
assert answer.content == "I look.", answer
assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("Weather", ARGUMENTS)]
whole = None
for part in caller.stream("abc"):
    whole = part if whole is None else whole + part
assert whole is not None
assert whole.content == "I look.", whole
assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("Weather", ARGUMENTS)]
result = ToolMessage("rain", tool_call_id=answer.tool_calls[0]["id"])
assert chat(CALLS, "calls").invoke([("human", "abc"), answer, result]).content, result

forced = chat(JSON, "json", max_tokens=80).with_structured_output(SCHEMA, method="function_calling")
keeper = forced.invoke("a")
assert 0 <= keeper["age"] <= 99, keeper

# Without a tokenizer of OpenAI's, texts go as they are.
embeddings = OpenAIEmbeddings(
    base_url=LETTERS, model="letters", api_key="any", check_embedding_ctx_length=False
)
first, second = embeddings.embed_documents(["abc", "x"])
assert first != second
assert embeddings.embed_query("abc") == pytest.approx(first)
