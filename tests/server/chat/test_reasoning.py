"""Thoughts over real sockets, from a model that says what it is told."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import ServeEcho
from .test_tool_calls import CALL, MARKS, ask, called, choice_of, joined

FORM = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"enum": ["yes", "no"]}}}


@pytest.mark.parametrize("marks", [MARKS, ()], ids=["tokens", "spelled"])
@pytest.mark.parametrize("opening", ["", "<think>"])
@pytest.mark.parametrize("stream", [False, True])
def test_chat_parts_thoughts(
    stream: bool, opening: str, marks: tuple[str, ...], serve_echo: ServeEcho
) -> None:
    served = serve_echo('<tool_call> "arguments </think>', marks, opening=opening)
    lead = "" if opening else "<think>\n"
    skipped = len(served.post("/tokenize", {"prompt": opening}).json["tokens"])

    def told(text: str, **fields: Any) -> dict[str, Any]:
        # The model counts what its template wrote as said already.
        answer = ask(served, "z" * skipped + lead + text, stream=stream, **fields)
        return joined(answer) if stream else choice_of(answer)

    choice = told("Hm, <b>\n</think>\n\nYes.", tools=[])
    assert choice["message"]["reasoning_content"] == "Hm, <b>"
    assert choice["message"]["content"] == "Yes."
    choice = told('Hm</think>"yes"', tools=[], response_format=FORM)
    assert choice["message"]["reasoning_content"] == "Hm"
    assert choice["message"]["content"] == '"yes"'
    choice = told(f"Hm</think>\n\nI look.{CALL}")
    assert choice["message"]["reasoning_content"] == "Hm"
    assert (choice["message"]["content"], len(called(choice))) == ("I look.", 1)
    choice = told("Hm, and so on and on", tools=[], max_tokens=14, response_format=FORM)
    assert choice["finish_reason"] == "length"
    assert not choice["message"]["content"]


def test_a_grammar_begins_at_once_where_nothing_is_thought(serve_echo: ServeEcho) -> None:
    served = serve_echo("</think>", MARKS)
    choice = choice_of(ask(served, '"no"', tools=[], response_format=FORM))
    assert "reasoning_content" not in choice["message"]
    assert choice["message"]["content"] == '"no"'


@pytest.mark.parametrize("text", ["Hm</think>Yes", "Hm<mark></think>Yes<tool_call>"])
def test_special_tokens_do_not_leak(text: str, serve_echo: ServeEcho) -> None:
    served = serve_echo("</think>", MARKS)
    text = text.replace("<mark>", "")
    choice = choice_of(ask(served, f"<think>{text}", tools=[]))
    assert choice["message"]["reasoning_content"] == "Hm"
    assert choice["message"]["content"] == "Yes"
    shown = choice_of(ask(served, f"<think>{text}", tools=[], skip_special_tokens=False))
    assert shown["message"]["reasoning_content"] == "Hm"
