"""gpt-oss's harmony format: thoughts, calls and answers are messages in channels."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.runtime.sampling.grammar import Grammar
from nanoaccel.server.chat.families.form import Wanted, tools_grammar
from nanoaccel.server.chat.reading.harmony import MARKS, HarmonyReader
from nanoaccel.server.chat.reading.reader import ReplyReader
from nanoaccel.server.chat.spelling import Spelling

_END, _NEXT = "<|end|>", "<|start|>assistant"


class HarmonyForm:
    """Thoughts, calls and answers by channel. A reply calls one function at most."""

    marks: Sequence[str] = MARKS
    can_call = True

    def grammar(self, wanted: Wanted, spelling: Spelling) -> Grammar | None:
        """As in ``ReplyForm``."""
        if not wanted.tools and wanted.answer is None:
            return None
        thought = _message("thought", "analysis", spelling)
        final = spelling.literal("<|channel|>final<|message|>")
        if not wanted.tools:
            assert wanted.answer is not None
            return wanted.answer.after(f"start: thought* {final}\n{thought}")
        lines = [_message("preamble", "commentary", spelling)]
        ways = []
        if not wanted.must_call:
            ways.append(f"{final} answer")
            lines.append(f"answer: {wanted.answer_expression()}")
        for place, tool in enumerate(wanted.callable_tools):
            to = f"<|channel|>commentary to=functions.{tool.name} <|constrain|>json<|message|>"
            ways.append(f"preamble? call_{place}")
            lines.append(f"call_{place}: {spelling.literal(to)} arguments_{place}")
            lines.append(f"arguments_{place}: {tool.arguments}")
        lines.insert(0, "start: " + " | ".join(ways))
        return tools_grammar("\n".join(lines) + "\n", f"start: thought*\n{thought}")

    def reader(self, wanted: Wanted) -> ReplyReader:  # noqa: ARG002 - the channels say it all
        """As in ``ReplyForm``."""
        return HarmonyReader()


def _message(rule: str, channel: str, spelling: Spelling) -> str:
    """Rules of a message in a channel, and of the beginning of the next."""
    begin = spelling.literal(f"<|channel|>{channel}<|message|>")
    text = spelling.until(f"{rule}_text", _END)
    return f"{rule}: {begin} {rule}_text {spelling.literal(_NEXT)}\n{text}"
