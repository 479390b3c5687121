"""Forms of calls whose arguments are JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nanoaccel.server.chat.families.tools import Tool
from nanoaccel.server.chat.reading.calls import CallsReader, JsonArguments
from nanoaccel.server.chat.reading.reader import ReplyReader
from nanoaccel.server.chat.spelling import Spelling


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonCalls:
    """How a family writes calls.

    Args:
        trigger: What begins the calls, and stands nowhere else.
        openings: What follows it, before the first call, one of these.
        before_name: What stands before the name of a function.
        after_name: What stands between a name and the arguments.
        between: What stands between a call's arguments and ``before_name`` of the next.
        closing: What stands behind the arguments of the last.
        is_at_start: Whether calls begin the answer: what begins like one is one.
    """

    trigger: str
    openings: tuple[str, ...] = ("",)
    before_name: str
    after_name: str
    between: str
    closing: str
    is_at_start: bool = False

    @property
    def marks(self) -> tuple[str, ...]:
        """What must be seen in the text."""
        joined = (*self.openings, self.before_name, self.after_name, self.between, self.closing)
        return (self.trigger, *joined)

    def lark(self, tools: Sequence[Tool], spelling: Spelling, *, several: bool) -> str:
        """Rules of ``calls``, which is what follows the trigger."""
        openings = " | ".join(map(spelling.literal, self.openings))
        repeat = f" ({spelling.literal(self.between)} call)*" if several else ""
        lines = [
            f"calls: ({openings}) call{repeat} {spelling.literal(self.closing)}",
            "call: " + " | ".join(f"call_{place}" for place in range(len(tools))),
        ]
        for place, tool in enumerate(tools):
            head = spelling.literal(self.before_name + tool.name + self.after_name)
            lines += [f"call_{place}: {head} arguments_{place}"]
            lines += [f"arguments_{place}: {tool.arguments}"]
        return "\n".join(lines) + "\n"

    def reader(self, tools: Sequence[Tool]) -> ReplyReader:  # noqa: ARG002 - JSON needs no schema
        """What reads an answer with calls."""
        return CallsReader(
            trigger=self.trigger,
            openings=[opening + self.before_name for opening in self.openings],
            after_name=self.after_name,
            betweens=[self.between + self.before_name],
            arguments=lambda _: JsonArguments(),
            is_at_start=self.is_at_start,
        )


_NAMED, _ARGUMENTS, _PARAMETERS = '{"name": "', '", "arguments": ', '", "parameters": '

HERMES = JsonCalls(
    trigger="<tool_call>",
    openings=("\n", ""),
    before_name=_NAMED,
    after_name=_ARGUMENTS,
    between="}\n</tool_call>\n<tool_call>\n",
    closing="}\n</tool_call>",
)
LLAMA = JsonCalls(
    trigger="{",
    before_name='"name": "',
    after_name=_PARAMETERS,
    between="}; {",
    closing="}",
    is_at_start=True,
)
MISTRAL = JsonCalls(
    trigger="[TOOL_CALLS]",
    before_name="",
    after_name="[ARGS]",
    between="[TOOL_CALLS]",
    closing="",
)
MISTRAL_LIST = JsonCalls(
    trigger="[TOOL_CALLS]",
    openings=("[", " ["),
    before_name=_NAMED,
    after_name=_ARGUMENTS,
    between="}, ",
    closing="}]",
)
GRANITE = JsonCalls(
    trigger="<|tool_call|>",
    openings=("[", " ["),
    before_name=_NAMED,
    after_name=_ARGUMENTS,
    between="}, ",
    closing="}]",
)
NEMOTRON = JsonCalls(
    trigger="<TOOLCALL>",
    openings=("[",),
    before_name=_NAMED,
    after_name=_ARGUMENTS,
    between="}, ",
    closing="}]</TOOLCALL>",
)
APRIEL = JsonCalls(
    trigger="<tool_calls>",
    openings=("[",),
    before_name=_NAMED,
    after_name=_ARGUMENTS,
    between="}, ",
    closing="}]</tool_calls>",
)
_CALLS_BEGIN, _CALL_BEGIN, _SEPARATOR, _CALL_END, _CALLS_END = (
    f"<\uff5ctool\u2581{name}\uff5c>"
    for name in ("calls\u2581begin", "call\u2581begin", "sep", "call\u2581end", "calls\u2581end")
)
DEEPSEEK = JsonCalls(
    trigger=_CALLS_BEGIN,
    openings=(_CALL_BEGIN,),
    before_name="",
    after_name=_SEPARATOR,
    between=_CALL_END + _CALL_BEGIN,
    closing=_CALL_END + _CALLS_END,
)
DEEPSEEK_FENCED = JsonCalls(
    trigger=_CALLS_BEGIN,
    openings=(_CALL_BEGIN,),
    before_name=f"function{_SEPARATOR}",
    after_name="\n```json\n",
    between=f"\n```{_CALL_END}\n{_CALL_BEGIN}",
    closing=f"\n```{_CALL_END}{_CALLS_END}",
)
