"""Rows of many forms are read, and what is wrong with a row is named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nanoaccel.errors import ConfigError, SourceError
from nanoaccel.finetune.data import read
from nanoaccel.finetune.data.forms import FormError, read_form
from nanoaccel.finetune.data.read import read_rows
from nanoaccel.finetune.data.records import Completion, Conversation, PlainText, Problem, Row

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


@pytest.mark.parametrize(
    ("row", "record"),
    [
        ({"messages": CHAT}, Conversation(tuple(CHAT))),
        ({"prompt": CHAT[:1], "completion": CHAT[1:]}, Conversation(tuple(CHAT))),
        (
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}]},
            Conversation(
                ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"})
            ),
        ),
        ({"prompt": "a", "completion": "b"}, Completion("a", "b")),
        ({"prompt": "a", "response": "b", "text": None}, Completion("a", "b")),
        ({"instruction": "Add", "input": "1 2", "output": "3"}, Completion("Add\n\n1 2", "3")),
        ({"instruction": "Add", "input": "", "output": "3"}, Completion("Add", "3")),
        ({"text": "a", "id": 3}, PlainText("a")),
    ],
)
def test_read_form_knows(row: object, record: object) -> None:
    assert read_form(row) == record


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ([1], "is of type list, not an object"),
        ({}, "it has no columns at all"),
        ({"question": "a"}, "it has question"),
        ({"prompt": "a", "completion": " \n"}, "has an empty answer (completion)"),
        ({"prompt": 3, "completion": "b"}, "has a prompt of type int, not text"),
        ({"prompt": "a"}, "has a prompt, and no completion or response or answer"),
        ({"instruction": "a"}, "has an instruction, and no output"),
        ({"text": " "}, "has an empty text"),
        ({"messages": []}, "has messages that are no list of messages"),
        ({"messages": [{"content": "a"}]}, "has no role in messages[0]"),
        ({"messages": [{"role": "user", "content": 3}]}, "content in messages[0] that is no text"),
        ({"messages": CHAT[:1]}, "has no message of the assistant"),
        (
            {"messages": [*CHAT, CHAT[0], {"role": "assistant", "content": ""}]},
            "has an empty answer in messages[3]",
        ),
    ],
)
def test_read_form_says_what_is_wrong(row: object, what: str) -> None:
    with pytest.raises(FormError, match=re.escape(what)):
        read_form(row)


def test_a_call_of_a_tool_is_an_answer() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}
    tools = [{"name": "f"}]
    record = read_form({"messages": [CHAT[0], call], "tools": tools})
    assert record == Conversation((CHAT[0], call), ({"name": "f"},))


def test_read_rows_names_the_line_of_each_problem_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    lines = [
        json.dumps({"text": "one"}).encode(),
        b'{"text": "tw',
        b"",
        b'{"text": "\xff"}',
        json.dumps({"text": "five"}).encode(),
    ]
    path.write_bytes(b"\n".join(lines))
    found = list(read_rows(str(path)))
    assert found[0] == Row(f"{path}, line 1", PlainText("one"))
    assert isinstance(found[1], Problem)
    assert str(found[1]).startswith(f"{path}, line 2 is no JSON: ")
    assert str(found[2]) == f"{path}, line 4 is not UTF-8 at its byte 10"
    assert found[3] == Row(f"{path}, line 5", PlainText("five"))


def test_read_rows_reads_a_folder_of_texts(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("two")
    (tmp_path / "a.txt").write_text("one\r\n")
    (tmp_path / ".hidden.txt").write_text("no")
    (tmp_path / "c.png").write_bytes(b"")
    texts = [row.record for row in read_rows(str(tmp_path)) if isinstance(row, Row)]
    assert texts == [PlainText("one\n"), PlainText("two")]


def test_read_rows_reads_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    path = tmp_path / "data.parquet"
    rows = [{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": None}]
    parquet.write_table(arrow.Table.from_pylist(rows), path)
    first, second = read_rows(str(path))
    assert first == Row(f"{path}, row 1", Completion("a", "b"))
    assert isinstance(second, Problem)


def test_read_rows_reads_a_data_set_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": "one"}, {"question": "two"}]
    monkeypatch.setattr(read, "stream_rows", lambda _: iter(rows))
    first, second = read_rows("org/name")
    assert first == Row("org/name:train, row 1", PlainText("one"))
    assert str(second).startswith("org/name:train, row 2 has neither messages")


@pytest.mark.parametrize(
    ("name", "error"),
    [("nowhere.jsonl", SourceError), ("./nowhere", SourceError), ("a b c", ConfigError)],
)
def test_read_rows_refuses_what_is_not_there(name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(read_rows(name))


def test_read_rows_refuses_files_of_other_kinds(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b")
    with pytest.raises(SourceError, match="no data that can be read"):
        list(read_rows(str(tmp_path / "data.csv")))
    with pytest.raises(SourceError, match="has no data in it"):
        list(read_rows(str(tmp_path)))
