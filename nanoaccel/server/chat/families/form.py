"""A model's way of writing a reply: thoughts, then an answer or calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from nanoaccel.runtime.sampling.grammar import Grammar
from nanoaccel.server.api_error import bad_request
from nanoaccel.server.chat.families.thinking import Thinking
from nanoaccel.server.chat.families.tools import Tool
from nanoaccel.server.chat.reading.reader import PlainReader, ReplyReader
from nanoaccel.server.chat.spelling import Spelling, escaped

TEXT = "/(.|\\n)*/"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reply shall hold.

    Args:
        prompt: The prompt as text.
        tools: Functions that it may call.
        must_call: Whether it calls one at least.
        only: The function that it must call; None for any.
        several: Whether it may call several.
        answer: What the answer must follow; None for nothing.
    """

    prompt: str
    tools: Sequence[Tool] = ()
    must_call: bool = False
    only: str | None = None
    several: bool = True
    answer: Grammar | None = None

    @property
    def callable_tools(self) -> Sequence[Tool]:
        """The tools that may be called."""
        return [tool for tool in self.tools if self.only in (None, tool.name)]

    def answer_expression(self) -> str:
        """The answer as a Lark expression, beside calls.

        Raises:
            ApiError: Its grammar is none of JSON.
        """
        if self.answer is None:
            return TEXT
        if self.answer.kind != "json_schema":
            raise bad_request(
                f"a {self.answer.kind} grammar and tools are given together. With tools, an answer "
                "follows a JSON schema or nothing",
                "tools",
            )
        space = "true" if self.answer.flexible_whitespace else "false"
        options = (
            f'"x-guidance": {{"whitespace_flexible": {space}, "item_separator": ",", '
            '"key_separator": ":", "lenient": false, "coerce_one_of": false}'
        )
        own = self.answer.source.strip()[1:].lstrip()
        return f"%json {{{options}{'' if own == '}' else ', '}{own}"


@lru_cache(maxsize=64)
def tools_grammar(source: str, before: str) -> Grammar:
    """A Lark grammar, checked once: clients send the same tools again and again.

    Args:
        source: The grammar.
        before: Grammar of what stands before; empty for nothing.

    Raises:
        SamplingError: It is too large, or takes too long to check.
    """
    return Grammar("lark", source, before=before)


class ReplyForm(Protocol):
    """How a model writes a reply."""

    @property
    def marks(self) -> Sequence[str]:
        """Texts with what must be seen of special tokens."""

    @property
    def can_call(self) -> bool:
        """Whether there is a form of calls."""

    def grammar(self, wanted: Wanted, spelling: Spelling) -> Grammar | None:
        """What the text must follow so that the reply is what is wanted; None for anything.

        Raises:
            ApiError: This form cannot say it.
            SamplingError: The grammar is too large.
        """

    def reader(self, wanted: Wanted) -> ReplyReader:
        """What reads one."""


class Calls(Protocol):
    """How a model writes calls: behind a trigger that begins them."""

    @property
    def trigger(self) -> str:
        """What begins the calls."""

    @property
    def is_at_start(self) -> bool:
        """Whether an answer that begins with the trigger is a call, and no other."""

    @property
    def marks(self) -> Sequence[str]:
        """As in ``ReplyForm``."""

    def lark(self, tools: Sequence[Tool], spelling: Spelling, *, several: bool) -> str:
        """Rules of ``calls``, which is what follows the trigger.

        Raises:
            ApiError: The schema of a tool asks for what this form cannot say.
        """

    def reader(self, tools: Sequence[Tool]) -> ReplyReader:
        """What reads an answer with calls."""


@dataclass(frozen=True, slots=True)
class MarkedForm:
    """Thoughts between marks, calls behind a mark.

    Args:
        thinking: The marks of thoughts; None where there are none.
        calls: The form of calls; None where there is none.
    """

    thinking: Thinking | None
    calls: Calls | None

    @property
    def marks(self) -> Sequence[str]:
        """As in ``ReplyForm``."""
        parts = (self.thinking, self.calls)
        return [mark for part in parts if part is not None for mark in part.marks]

    @property
    def can_call(self) -> bool:
        """As in ``ReplyForm``."""
        return self.calls is not None

    def grammar(self, wanted: Wanted, spelling: Spelling) -> Grammar | None:
        """As in ``ReplyForm``."""
        before, other = "", ""
        if self.thinking is not None and not self.thinking.is_over(wanted.prompt):
            is_open = self.thinking.is_open(wanted.prompt)
            before, other = self.thinking.lark(spelling, is_open=is_open), self.thinking.begin[0]
        if wanted.tools and self.calls is not None:
            return tools_grammar(_answer_or_calls(self.calls, wanted, spelling, other), before)
        if wanted.answer is None or not before:
            return wanted.answer
        return wanted.answer.after(before)

    def reader(self, wanted: Wanted) -> ReplyReader:
        """As in ``ReplyForm``."""
        answer: ReplyReader = PlainReader()
        if wanted.tools and self.calls is not None:
            answer = self.calls.reader(wanted.tools)
        if self.thinking is None:
            return answer
        return self.thinking.reader(answer, is_open=self.thinking.is_open(wanted.prompt))


def _answer_or_calls(calls: Calls, wanted: Wanted, spelling: Spelling, other: str) -> str:
    """A grammar of the answer or the calls.

    Args:
        calls: The form of calls.
        wanted: What the reply shall hold.
        spelling: Writes literals.
        other: What begins something else, where the first character decides.
    """
    rules = calls.lark(wanted.callable_tools, spelling, several=wanted.several)
    trigger = spelling.literal(calls.trigger)
    if wanted.must_call:
        return f"start: {trigger} calls\n{rules}"
    answer = wanted.answer_expression()
    if calls.is_at_start:
        if wanted.answer is not None:
            raise bad_request(
                "this model writes calls as JSON: with tools, no grammar can be asked of its "
                "answer. Leave out one of them",
                "tools",
            )
        own = f"/[^\\s{escaped(calls.trigger + other)}](.|\\n)*/"
        return f"start: answer? | {trigger} calls\nanswer: {own}\n{rules}"
    if wanted.answer is not None:
        return f"start: answer | {trigger} calls\nanswer: {answer}\n{rules}"
    lead = spelling.until("lead", calls.trigger)
    return f"start: answer | lead calls\nanswer: ANSWER\nANSWER: {answer}\n{lead}{rules}"
