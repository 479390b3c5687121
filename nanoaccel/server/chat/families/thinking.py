"""Marks between which models think."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.server.chat.reading.reader import ReplyReader
from nanoaccel.server.chat.reading.thinking import ThinkingReader
from nanoaccel.server.chat.spelling import Spelling

_SPACE = "thinking_space: /[ \\n\\t\\r]{0,8}/\n"


@dataclass(frozen=True, slots=True)
class Thinking:
    """How a family writes its thoughts.

    Args:
        begin: The mark before them.
        end: The mark behind them.
    """

    begin: str
    end: str

    @property
    def marks(self) -> tuple[str, ...]:
        """What must be seen in the text."""
        return (self.begin, self.end)

    def is_open(self, prompt: str) -> bool:
        """Whether a prompt ends inside of thoughts."""
        return prompt.rstrip().endswith(self.begin)

    def is_over(self, prompt: str) -> bool:
        """Whether a prompt ends behind thoughts, such as empty ones of a model that shall not."""
        return prompt.rstrip().endswith(self.end)

    def reader(self, inner: ReplyReader, *, is_open: bool) -> ReplyReader:
        """What reads thoughts, and lets ``inner`` read the answer."""
        return ThinkingReader(self.begin, self.end, inner, is_open=is_open)

    def lark(self, spelling: Spelling, *, is_open: bool) -> str:
        """A grammar of thoughts; where they are not begun, there may be none."""
        until = spelling.until("thoughts", self.end)
        if is_open:
            return f"start: thoughts thinking_space\n{_SPACE}{until}"
        begin = spelling.literal(self.begin)
        return f"start: ({begin} thoughts thinking_space)?\n{_SPACE}{until}"


THINKING = {
    "think": Thinking("<think>", "</think>"),
    "mistral": Thinking("[THINK]", "[/THINK]"),
    "granite": Thinking("Here is my thought process:", "Here is my response:"),
    "seed": Thinking("<seed:think>", "</seed:think>"),
    "gemma": Thinking("<|channel>thought", "<channel|>"),
}
