"""Prompts that leave too little of the context for what was asked: refused with all numbers."""

from __future__ import annotations

from nanoaccel.errors import PromptTooLongError
from nanoaccel.server.api_error import TOO_LONG, ApiError


def check_length(prompt_tokens: int, max_tokens: int, context: int) -> None:
    """Refuse a completion that could not be as long as its client asked.

    Args:
        prompt_tokens: Tokens of the prompt.
        max_tokens: Tokens that were asked for.
        context: Tokens of both together that fit.

    Raises:
        ApiError: They do not fit.
    """
    over = prompt_tokens + max_tokens - context
    if over > 0:
        raise _refusal(
            f"the prompt has {prompt_tokens} tokens and max_tokens is {max_tokens}: together "
            f"{prompt_tokens + max_tokens}, {over} more than the context of {context}. Shorten the "
            f"prompt, or ask for {context - prompt_tokens} tokens at most"
        )


def prompt_refusal(error: PromptTooLongError, max_tokens: int | None) -> ApiError:
    """What is answered to a prompt that leaves no room for a single token.

    Args:
        error: Says so.
        max_tokens: Tokens that were asked for; None if that was left open.
    """
    asked = 1 if max_tokens is None else max_tokens
    over = error.prompt_tokens + asked - error.context_length
    told = "is not given, so that 1 must fit" if max_tokens is None else f"is {max_tokens}"
    least = "at least " if error.at_least else ""
    return _refusal(
        f"the prompt has {least}{error.prompt_tokens} tokens and max_tokens {told}: {least}{over} "
        f"more than the context of {error.context_length}. {error.remedy}"
    )


def _refusal(message: str) -> ApiError:
    return ApiError(400, f"{TOO_LONG}: {message}", "context_length_exceeded")
