"""Prompts that a chat model writes itself, where a user's message stands (Magpie, Xu et al. 2024).

A chat model has learned to write the whole of a dialogue. Given what stands in front of a user's
message, it writes one: of any subject that it knows, in words of many people, as no list of
templates has them.
"""

from __future__ import annotations

import random
from itertools import takewhile

from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams, SamplingSettings

_TOKENS = 96  # of a message at most
_TEMPERATURE, _TOP_P = 1.0, 0.95
_SEEDS = 1 << 31


def ask_itself(llm: LLM, count: int, source: random.Random) -> list[str]:
    """Let a model write what users may say to it.

    Args:
        llm: The model.
        count: Messages to write; those that did not end are left out.
        source: Chooses seeds.

    Returns:
        The messages; none where the model has no chat template, or one that writes nothing in front
        of a message.
    """
    begin = _begin(llm)
    if not begin:
        return []
    params = [
        SamplingSettings().complete(
            SamplingParams(
                max_tokens=_TOKENS,
                temperature=_TEMPERATURE,
                top_p=_TOP_P,
                seed=source.randrange(_SEEDS),
            )
        )
        for _ in range(count)
    ]
    outputs = llm.generate([begin] * count, params)
    ended = (output.text.strip() for output in outputs if output.finish_reason == "stop")
    return [text for text in ended if text]


def _begin(llm: LLM) -> list[int]:
    """The tokens in front of a user's message."""
    if not llm.tokenizer.has_chat_template:
        return []
    one, other = (
        llm.tokenizer.encode_chat([{"role": "user", "content": said}]) for said in ("a", "b")
    )
    return [
        token
        for token, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    ]
