"""Replies as content blocks and as output items, however their parts come."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nanoaccel.server.anthropic.blocks import BlockWriter
from nanoaccel.server.chat import CallArguments, CallBegin, Content, End, Part, Reasoning
from nanoaccel.server.responses.output import OutputWriter

TEXT = st.text(min_size=1, max_size=4)
ARGUMENTS = '{"at": [1, 2], "why": "x"}'
REPLY: list[Part] = [
    Reasoning("I th"), Reasoning("ink"), Content("Hel"), Content("lo"),
    CallBegin(0, "c1", "look"), CallArguments(0, ARGUMENTS[:7]), CallArguments(0, ARGUMENTS[7:]),
    CallBegin(1, "c2", "wait"), End("tool_calls"),
]  # fmt: skip


@st.composite
def replies(draw: st.DrawFn) -> list[Part]:
    """Parts in any order that readers give."""
    texts: st.SearchStrategy[list[Part]] = st.lists(
        TEXT.map(Reasoning) | TEXT.map(Content), max_size=8
    )
    parts = list(draw(texts))
    for place in range(draw(st.integers(0, 2))):
        parts.append(CallBegin(place, f"c{place}", "look"))
        cut = draw(st.integers(1, len(ARGUMENTS) - 1))
        parts += [CallArguments(place, text) for text in (ARGUMENTS[:cut], ARGUMENTS[cut:])]
        parts += draw(texts)
    return [*parts, End(draw(st.sampled_from(["stop", "length"])))]


def test_reply_becomes_blocks() -> None:
    writer = BlockWriter()
    events = writer.write(REPLY)
    assert writer.finish_reason == "tool_calls"
    assert writer.blocks == [
        {"type": "thinking", "thinking": "I think", "signature": ""},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "c1", "name": "look", "input": json.loads(ARGUMENTS)},
        {"type": "tool_use", "id": "c2", "name": "wait", "input": {}},
    ]
    assert [event["type"] for event in events if event["index"] == 3] == [
        "content_block_start",
        "content_block_stop",
    ]


def test_reply_becomes_items() -> None:
    writer = OutputWriter()
    writer.write(REPLY)
    thought, message, *calls = writer.items
    assert thought["content"] == [{"type": "reasoning_text", "text": "I think"}]
    assert message["content"][0]["text"] == "Hello"
    assert [(call["call_id"], call["name"], call["arguments"]) for call in calls] == [
        ("c1", "look", ARGUMENTS),
        ("c2", "wait", ""),
    ]
    assert {item["status"] for item in writer.items} == {"completed"}


@given(replies())
def test_blocks_are_those_that_events_build(reply: list[Part]) -> None:
    writer = BlockWriter()
    built: list[dict[str, Any]] = []
    texts: list[str] = []
    ended = -1
    for part in reply:
        for event in writer.write([part]):
            if event["type"] == "content_block_start":
                assert event["index"] == len(built) == ended + 1
                built.append(event["content_block"])
                texts.append("")
            elif event["type"] == "content_block_delta":
                assert event["index"] == len(built) - 1
                (name,) = event["delta"].keys() - {"type"}
                texts[-1] += event["delta"][name]
            else:
                ended = event["index"]
    assert ended == len(writer.blocks) - 1
    for block, begun, text in zip(writer.blocks, built, texts, strict=True):
        assert block["type"] == begun["type"]
        if block["type"] == "tool_use":
            assert block["input"] == json.loads(text)
        else:
            assert block["text" if block["type"] == "text" else "thinking"] == text


@given(replies())
def test_items_are_those_that_events_build(reply: list[Part]) -> None:
    writer = OutputWriter()
    texts: list[str] = []
    done: list[dict[str, Any]] = []
    for part in reply:
        for event in writer.write([part]):
            if event["type"] == "response.output_item.added":
                assert event["output_index"] == len(texts) == len(done)
                texts.append("")
            elif event["type"].endswith(".delta"):
                assert event["output_index"] == len(texts) - 1
                texts[-1] += event["delta"]
            elif event["type"] == "response.output_item.done":
                done.append(event["item"])
    assert done == writer.items
    found = [
        item["arguments"] if item["type"] == "function_call" else item["content"][0]["text"]
        for item in done
    ]
    assert found == texts
    assert len({item["id"] for item in done}) == len(done)
