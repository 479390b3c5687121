"""Gemma 4's calls: bare names, strings between marks."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.server.chat.families.gemma_values import GemmaValues
from nanoaccel.server.chat.families.tools import Tool
from nanoaccel.server.chat.reading.calls import CallsReader
from nanoaccel.server.chat.reading.gemma import QUOTE, GemmaArguments
from nanoaccel.server.chat.reading.reader import ReplyReader
from nanoaccel.server.chat.spelling import Spelling

_OPENING, _END = "call:", "<tool_call|>"


class GemmaCalls:
    """``<|tool_call>call:name{city:<|"|>Bern<|"|>,days:3}<tool_call|>``."""

    trigger = "<|tool_call>"
    is_at_start = False
    marks: Sequence[str] = (trigger, QUOTE, _END)

    def lark(self, tools: Sequence[Tool], spelling: Spelling, *, several: bool) -> str:
        """As in ``Calls``."""
        opening, end = spelling.literal(_OPENING), spelling.literal(_END)
        between = spelling.literal(_END + self.trigger + _OPENING)
        repeat = f" ({between} call)*" if several else ""
        lines = [
            f"calls: {opening} call{repeat} {end}",
            "call: " + " | ".join(f"call_{place}" for place in range(len(tools))),
        ]
        for place, tool in enumerate(tools):
            values = GemmaValues(tool.name, f"value_{place}", tool.schema, spelling)
            head = spelling.literal(tool.name + "{")
            lines.append(f'call_{place}: {head} {values.members(tool.schema)} "}}"')
            lines += values.rules
        return "\n".join(lines) + "\n"

    def reader(self, tools: Sequence[Tool]) -> ReplyReader:  # noqa: ARG002 - the text says it all
        """As in ``Calls``."""
        return CallsReader(
            trigger=self.trigger,
            openings=[_OPENING],
            after_name="{",
            betweens=[_END + self.trigger + _OPENING],
            arguments=lambda _: GemmaArguments(),
        )
