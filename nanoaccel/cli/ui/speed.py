"""How fast an answer came, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nanoaccel.runtime.types.outputs import Completion


def tokens_per_second(completions: tuple[Completion, ...]) -> float | None:
    """Decoded tokens a second, completions together; None when nothing came after the first."""
    firsts = [c.stats.first_token for c in completions if c.stats.first_token is not None]
    tokens = sum(c.usage.completion_tokens for c in completions)
    if not firsts or tokens <= len(firsts):
        return None
    seconds = max(c.stats.total for c in completions) - min(firsts)
    return (tokens - len(firsts)) / seconds if seconds > 0 else None


def tokens_text(count: int, kind: str = "") -> str:
    """``1 token``, ``2 prompt tokens``."""
    return f"{count} {kind}token{'' if count == 1 else 's'}"


def cached_text(cached: int, prompt: int) -> str:
    """``64 of 90 prompt tokens from the cache``."""
    return f"{cached} of {tokens_text(prompt, 'prompt ')} from the cache"


def speed_line(completions: tuple[Completion, ...]) -> str:
    """Tokens, tokens a second and a step, time to the first, what was cached, any cut."""
    tokens = sum(c.usage.completion_tokens for c in completions)
    parts = [tokens_text(tokens)]
    speed = tokens_per_second(completions)
    if speed is not None:
        parts.append(f"{speed:.1f} tokens/s")
    steps = sum(c.stats.steps for c in completions)
    if any(c.stats.accepted_tokens for c in completions):
        parts.append(f"{tokens / steps:.1f} a step")
    first = completions[0].stats.first_token
    if first is not None:
        parts.append(f"first token after {first:.2f} s")
    cached = completions[0].stats.cached_tokens
    if cached > 0:
        parts.append(cached_text(cached, completions[0].usage.prompt_tokens))
    if any(c.finish_reason == "length" for c in completions):
        parts.append("stopped by --max-tokens or the end of the context")
    return ", ".join(parts)
