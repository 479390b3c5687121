"""How fast an answer came, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nanoaccel.runtime.output import Completion


def tokens_per_second(completions: tuple[Completion, ...]) -> float | None:
    """Decoded tokens a second, completions together; None when nothing came after the first."""
    firsts = [c.stats.first_token for c in completions if c.stats.first_token is not None]
    tokens = sum(c.usage.completion_tokens for c in completions)
    if not firsts or tokens <= len(firsts):
        return None
    seconds = max(c.stats.total for c in completions) - min(firsts)
    return (tokens - len(firsts)) / seconds if seconds > 0 else None


def tokens_text(count: int) -> str:
    """``1 token``, ``2 tokens``."""
    return f"{count} token{'' if count == 1 else 's'}"


def speed_line(completions: tuple[Completion, ...]) -> str:
    """Tokens, tokens a second, time to the first token, and whether the text was cut."""
    tokens = sum(c.usage.completion_tokens for c in completions)
    parts = [tokens_text(tokens)]
    speed = tokens_per_second(completions)
    if speed is not None:
        parts.append(f"{speed:.1f} tokens/s")
    first = completions[0].stats.first_token
    if first is not None:
        parts.append(f"first token after {first:.2f} s")
    if any(c.finish_reason == "length" for c in completions):
        parts.append("stopped by --max-tokens or the end of the context")
    return ", ".join(parts)
