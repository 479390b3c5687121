"""What ends the text of a request."""

from __future__ import annotations

from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.text import OutputText, Tokenizer


def end_tokens(params: SamplingParams, tokenizer: Tokenizer, vocab_size: int) -> frozenset[int]:
    """Tokens that end a text.

    Args:
        params: How it is sampled.
        tokenizer: Knows which tokens the model ends with.
        vocab_size: Length of a row of logits.
    """
    model_ends = frozenset() if params.ignore_eos else tokenizer.eos_token_ids
    # A model may name an end that it has no row for, which then never comes.
    return frozenset(params.stop_token_ids).union(t for t in model_ends if t < vocab_size)


def stop_reason(
    params: SamplingParams, text: OutputText, last: int, num_generated: int
) -> str | int | None:
    """The stop string or stop token that ended a text; None where the model ended it.

    Args:
        params: How it was sampled.
        text: The text.
        last: Its last token.
        num_generated: Tokens of it.
    """
    if text.matched or num_generated == 0:
        return text.stop_string
    return last if last in params.stop_token_ids else None
