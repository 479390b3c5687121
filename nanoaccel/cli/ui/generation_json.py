"""The JSON of ``nanoaccel generate --json``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nanoaccel.runtime.types.outputs import Completion


def generation_json(completions: tuple[Completion, ...]) -> str:
    """One object: the first completion's fields, and all completions when there are several."""
    content = _completion(completions[0])
    content["usage"]["completion_tokens"] = sum(c.usage.completion_tokens for c in completions)
    if len(completions) > 1:
        content["completions"] = [_completion(completion) for completion in completions]
    return json.dumps(content)


def _completion(completion: Completion) -> dict[str, Any]:
    speed = completion.stats.decode_tokens_per_second(completion.usage.completion_tokens)
    return {
        "text": completion.text,
        "token_ids": list(completion.token_ids),
        "finish_reason": completion.finish_reason,
        "usage": asdict(completion.usage),
        "stats": {**asdict(completion.stats), "decode_tokens_per_second": speed},
        "logprobs": [asdict(entry) for entry in completion.logprobs],
        "error": completion.error,
    }
