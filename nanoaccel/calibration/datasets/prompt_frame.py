"""Frames the text that a model writes for its own calibration.

chat     <user> question <end><assistant> answer <end><user> question ...
         opening         bridge                  bridge
plain    <bos> text <end><bos> text ...
         opening    bridge
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nanoaccel.calibration.datasets.encoder import TextEncoder
from nanoaccel.errors import ConfigError

# Any two texts do, as long as no chat template has them in it.
_QUESTION = "What does the keeper write down?"
_ANSWER = "Every ship that passes."


@dataclass(frozen=True, slots=True)
class PromptFrame:
    """The tokens that are given, so that the model writes the others.

    Args:
        opening: What a window begins with.
        bridges: What follows a piece that ended, its end included, one after another, over and
            over.
        end_ids: Tokens by which the model says that a piece has ended; a bridge replaces them.
    """

    opening: tuple[int, ...]
    bridges: tuple[tuple[int, ...], ...]
    end_ids: frozenset[int]

    @classmethod
    def of(cls, encoder: TextEncoder, end_ids: Sequence[int]) -> PromptFrame:
        """The frame of a model, from its chat template where it has one.

        Put before the place of a question, a chat model writes the question: Magpie (Xu et al.
        2024, "Alignment Data Synthesis from Scratch by Prompting Aligned LLMs with Nothing").

        Args:
            encoder: The model's tokenizer.
            end_ids: Tokens that end a text, the usual one first.

        Raises:
            ConfigError: The model has no token that begins or ends a text.
        """
        chat = _around_turns(encoder)
        if chat is not None:
            head, between, tail = (tuple(encoder.encode(part)) for part in chat)
            # Where no token ends a question, the model itself goes on to the answer.
            ended = not set(end_ids).isdisjoint(between)
            bridges = (between, tail + head) if ended else (tail + head,)
            return cls(head, bridges, frozenset(end_ids))
        begin = tuple(encoder.begin_ids)
        if not begin and not end_ids:
            raise ConfigError(
                "the model cannot write text of its own, for no token begins or ends one",
                "Name a file or a data set to calibrate with",
            )
        end = tuple(end_ids[:1])
        return cls(begin if begin else end, (end + begin,), frozenset(end_ids))


def _around_turns(encoder: TextEncoder) -> tuple[str, str, str] | None:
    """What a chat template writes before a question, between it and its answer, and behind."""
    turns = [{"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _ANSWER}]
    rendered = encoder.render(turns)
    if rendered is None or rendered.count(_QUESTION) != 1 or rendered.count(_ANSWER) != 1:
        return None
    head, rest = rendered.split(_QUESTION)
    if not head or _ANSWER not in rest:
        return None
    between, tail = rest.split(_ANSWER)
    return head, between, tail
