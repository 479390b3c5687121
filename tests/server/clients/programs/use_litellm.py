"""litellm: whole, streamed, errors by kind; argv: letters' address, JSON's."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import litellm
import pytest

LETTERS, JSON = sys.argv[1:]
CHAT, COMPLETION = "openai/letters", "text-completion-openai/letters"
HI = [{"role": "user", "content": "abc"}]


def asked(url: str = LETTERS, **options: Any) -> dict[str, Any]:
    return {"api_base": url, "api_key": "any", "max_tokens": 3, "num_retries": 0, **options}


answer = litellm.completion(model=CHAT, messages=HI, **asked())
assert answer.choices[0].message.content == "abc", answer
assert answer.usage.completion_tokens == 3, answer

streamed = asked(stream=True, stream_options={"include_usage": True})
parts = list(litellm.completion(model=CHAT, messages=HI, **streamed))
texts = [part.choices[0].delta.content for part in parts if part.choices]
assert "".join(text for text in texts if text) == "abc", parts
assert parts[-1].usage.completion_tokens == 3, parts

answer = litellm.text_completion(model=COMPLETION, prompt="abc", **asked())
assert answer.choices[0].text == "def", answer

answer = asyncio.run(litellm.acompletion(model=CHAT, messages=HI, **asked()))
assert answer.choices[0].message.content == "abc", answer

form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "boolean"}}}
answer = litellm.completion(model="openai/json", messages=HI, **asked(JSON, response_format=form))
assert answer.choices[0].message.content in ("true", "false", "tru", "fal"), answer

LONG = [{"role": "user", "content": "a" * 100}]
for kind, said, model, messages, options in [
    (litellm.BadRequestError, "top_p=7", CHAT, HI, {"top_p": 7}),
    (litellm.NotFoundError, "no model", "openai/none", HI, {}),
    (litellm.ContextWindowExceededError, "63 fit", CHAT, LONG, {}),
]:
    with pytest.raises(kind, match=said):
        litellm.completion(model=model, messages=messages, **asked(**options))
