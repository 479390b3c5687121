"""What a router needs to know of a request's body: how long its prompt is, and how it begins."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from nanoaccel.runtime.replicas.router import HORIZON, prefix_chain

BLOCK_TOKENS = 16
_TOKEN_BYTES = 4
_MAX_BLOCKS = 512
# In the order in which chat templates place them; what differs first, cuts what is shared.
_BEFORE = ("model", "tools", "system", "instructions")
_PROMPTS = ("messages", "prompt", "input")
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


@dataclass(frozen=True, slots=True)
class PromptOutline:
    """A prompt as a router sees it. A token is taken to be four bytes.

    Args:
        tokens: How long it is.
        chain: Keys of its beginnings, each a hash of all up to its end, in steps of 16 tokens.
        limit: Tokens that may be written.
    """

    tokens: int
    chain: tuple[bytes, ...]
    limit: int

    @classmethod
    def of(cls, body: bytes) -> PromptOutline:
        """The outline of a request's body; an empty one where it is no JSON object.

        Examples:
            >>> a = PromptOutline.of(b'{"prompt": "%s"}' % (300 * b"a"))
            >>> b = PromptOutline.of(b'{"prompt": "%s b"}' % (300 * b"a"))
            >>> a.chain == b.chain != ()
            True
        """
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            return cls(1, (), HORIZON)
        text = _text(fields)
        kept = text[: _MAX_BLOCKS * BLOCK_TOKENS * _TOKEN_BYTES]
        tokens = max(1, len(text) // _TOKEN_BYTES)
        return cls(tokens, prefix_chain(kept, BLOCK_TOKENS), _limit(fields))


def _text(fields: dict[str, Any]) -> bytes:
    """The parts of a body that make its prompt, in their order."""
    before = [json.dumps(fields.get(name)) for name in _BEFORE]
    prompts = [fields[name] for name in _PROMPTS if name in fields]
    parts: list[str] = []
    for prompt in prompts:
        whole = prompt if isinstance(prompt, list) else [prompt]
        parts += [one if isinstance(one, str) else json.dumps(one) for one in whole]
    return "\0".join([*before, *parts]).encode("utf-8", "surrogatepass")


def _limit(fields: dict[str, Any]) -> int:
    for name in _LIMITS:
        limit = fields.get(name)
        if isinstance(limit, int) and limit >= 0:
            return limit
    return HORIZON
