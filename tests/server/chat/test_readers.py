from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.replies import CHECKED, WRITTEN, Written

from nanoaccel.server.chat import Reply, ReplyReader
from nanoaccel.server.chat.families.form import ReplyForm, Wanted
from nanoaccel.server.chat.families.table import form_of
from nanoaccel.server.chat.reading.marks import MarkScanner

THOUGHTS = [
    ("think", "<think>\nWell, <b>\n</think>\n\n", "Well, <b>"),
    ("think", "<think>\n\n</think>\n\n", ""),
    ("mistral", "[THINK]Well[/THINK]", "Well"),
    ("granite", "Here is my thought process: Well\n\nHere is my response: ", "Well"),
    ("seed", "<seed:think>Well</seed:think>", "Well"),
    ("gemma", "<|channel>thought\nWell<channel|>", "Well"),
]


def form(tools: str = "none", reasoning: str = "none") -> ReplyForm:
    return form_of([], tools, reasoning)


def read(reader: ReplyReader, text: str, cuts: Sequence[int] = (), reason: str = "stop") -> Reply:
    """What a reader finds in a text that comes in pieces; ids are left out."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    parts = []
    for begin, end in pairwise(places):
        parts += reader.feed(text[begin:end])
    reply = Reply.of(parts + reader.end(reason))
    for call in reply.calls:
        assert len(call.id) == 9
        call.id = ""
    return reply


def calls_of(reply: Reply) -> tuple[tuple[str, str], ...]:
    return tuple((call.name, call.arguments) for call in reply.calls)


CUTS = st.lists(st.integers(0, 1000), max_size=30)


@pytest.mark.parametrize("written", WRITTEN, ids=lambda written: written.parser)
def test_reader_finds_calls(written: Written) -> None:
    reply = read(form(written.parser).reader(Wanted("", CHECKED)), written.text)
    assert calls_of(reply) == written.calls
    assert (reply.content, reply.finish_reason) == (written.content, "tool_calls")
    for call in reply.calls:
        json.loads(call.arguments)


@given(st.sampled_from(WRITTEN), st.sampled_from([None, *THOUGHTS]), CUTS, st.integers(0, 1000))
def test_reader_finds_the_same_however_the_text_is_cut(
    written: Written, thoughts: tuple[str, str, str] | None, cuts: list[int], size: int
) -> None:
    if thoughts is None or written.parser == "harmony":
        found, text = form(written.parser), written.text
    else:
        found, text = form(written.parser, thoughts[0]), thoughts[1] + written.text
    text = text[: size % (len(text) + 1)] if size % 2 else text
    reason = "length" if size % 2 else "stop"
    wanted = Wanted("", CHECKED)
    whole = read(found.reader(wanted), text, reason=reason)
    assert read(found.reader(wanted), text, cuts, reason) == whole
    assert read(found.reader(wanted), text, range(len(text)), reason) == whole
    if reason == "stop":
        assert (calls_of(whole), whole.content) == (written.calls, written.content)
        assert thoughts is None or written.parser == "harmony" or whole.reasoning == thoughts[2]


@pytest.mark.parametrize("written", WRITTEN, ids=lambda written: written.parser)
def test_a_text_without_calls_is_content(written: Written) -> None:
    text = "<tool or [TOOL? \n"
    found = form(written.parser)
    text = f"<|channel|>final<|message|>{text}" if written.parser == "harmony" else text
    reply = read(found.reader(Wanted("", CHECKED)), text, range(len(text)))
    assert (reply.content, reply.calls) == ("<tool or [TOOL? \n", [])
    assert reply.finish_reason == "stop"


@pytest.mark.parametrize("written", WRITTEN, ids=lambda written: written.parser)
def test_calls_that_are_cut_off_end_as_the_text_does(written: Written) -> None:
    text = written.text[: written.text.index("Bern") + 2] if "Bern" in written.text else "{"
    reply = read(form(written.parser).reader(Wanted("", CHECKED)), text, reason="length")
    assert reply.finish_reason == "length"


@pytest.mark.parametrize(("parser", "text", "thoughts"), THOUGHTS)
def test_reader_parts_thoughts_and_answer(parser: str, text: str, thoughts: str) -> None:
    found = form(reasoning=parser)
    reply = read(found.reader(Wanted("")), text + "Yes. ")
    assert (reply.reasoning, reply.content) == (thoughts, "Yes. ")
    begin = found.marks[0]
    opened = text.replace(begin, "", 1)
    reply = read(found.reader(Wanted(f"user: hi {begin}\n")), opened + "Yes. ")
    assert (reply.reasoning, reply.content) == (thoughts, "Yes. ")


def test_thoughts_that_are_cut_off_are_no_answer() -> None:
    reply = read(form(reasoning="think").reader(Wanted("<think>")), "Well, </thi", reason="length")
    assert (reply.reasoning, reply.content) == ("Well, </thi", "")


def test_an_answer_without_thoughts_is_content() -> None:
    for text in ("Yes </think> no", "  <thin", " \n"):
        reply = read(form(reasoning="think").reader(Wanted("")), text, range(len(text)))
        assert (reply.reasoning, reply.content) == ("", text)


def test_harmony_parts_channels() -> None:
    text = (
        "<|channel|>analysis<|message|>Well.<|end|><|start|>assistant<|channel|>final<|message|>"
        "Yes.<|return|>"
    )
    reply = read(form("harmony").reader(Wanted("")), text, range(len(text)))
    assert (reply.reasoning, reply.content, reply.finish_reason) == ("Well.", "Yes.", "stop")
    text = ' to=functions.f<|channel|>commentary json<|message|>{"a": 1}<|call|>'
    reply = read(form("harmony").reader(Wanted("")), text)
    assert (calls_of(reply), reply.finish_reason) == ((("f", '{"a": 1}'),), "tool_calls")


def test_mark_scanner_finds_the_longest() -> None:
    scanner = MarkScanner(["<a>", "<a>b"])
    scanner.feed("x<a>")
    assert scanner.next() == ("x", None)
    scanner.feed("b<a>")
    assert scanner.next() == ("", "<a>b")
    assert scanner.next(is_last=True) == ("", "<a>")
