"""Text, JSON lines and Parquet files; what is said of broken ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.encoders import CharacterEncoder, decode

from nanoaccel.calibration.datasets import windows_of_text
from nanoaccel.errors import ConfigError, MissingExtraError, SourceError

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
ROWS = [
    ({"text": "One.", "id": 7}, "One.\n\n", "One.\n\n"),
    ({"text": "A line.\n"}, "A line.\n", "A line.\n"),
    ({"prompt": "Hi", "response": "Hello"}, "HiHello\n\n", "[user]Hi|[assistant]Hello|"),
    ({"prompt": "Hi", "completion": "Hello"}, "HiHello\n\n", "[user]Hi|[assistant]Hello|"),
    ({"messages": CHAT}, "user: Hi\nassistant: Hello\n\n", "[user]Hi|[assistant]Hello|"),
    (
        {"messages": CHAT, "prompt": "?"},
        "user: Hi\nassistant: Hello\n\n",
        "[user]Hi|[assistant]Hello|",
    ),
    (
        {"prompt": CHAT[:1], "completion": CHAT[1:]},
        "user: Hi\nassistant: Hello\n\n",
        "[user]Hi|[assistant]Hello|",
    ),
]

Writer = Callable[[Path, list[object]], Path]


def _write_lines(folder: Path, rows: list[object]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _write_parquet(folder: Path, rows: list[object]) -> Path:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = folder / "rows.parquet"
    parquet.write_table(arrow.Table.from_pylist(rows), path)
    return path


def _read(path: Path, *, chat: bool = False, column: str | None = None) -> str:
    encoder = CharacterEncoder(chat=chat)
    [window] = windows_of_text(str(path), encoder, 10_000, column=column)[1]
    return decode(window)


@pytest.mark.parametrize("write", [_write_lines, _write_parquet])
@pytest.mark.parametrize(("row", "plain", "rendered"), ROWS)
def test_rows_go_through_the_chat_template_where_there_is_one(
    tmp_path: Path, write: Writer, row: object, plain: str, rendered: str
) -> None:
    path = write(tmp_path, [row])
    assert _read(path) == plain
    assert _read(path, chat=True) == rendered


@pytest.mark.parametrize("write", [_write_lines, _write_parquet])
def test_rows_are_packed_in_order_and_blank_ones_left_out(tmp_path: Path, write: Writer) -> None:
    rows: list[object] = [{"text": "One."}, {"text": None}, {"text": " "}, {"text": "Two."}]
    assert _read(write(tmp_path, rows)) == "One.\n\nTwo.\n\n"


@pytest.mark.parametrize("write", [_write_lines, _write_parquet])
def test_a_column_can_be_named(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path, [{"text": "no", "body": "yes", "talk": CHAT}])
    assert _read(path, column="body") == "yes\n\n"
    assert _read(path, column="talk", chat=True) == "[user]Hi|[assistant]Hello|"


@pytest.mark.parametrize("write", [_write_lines, _write_parquet])
def test_an_unknown_column_names_the_closest(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path, [{"content": "yes", "id": 1}])
    with pytest.raises(ConfigError) as raised:
        _read(path, column="contents")
    assert "has no column 'contents', only content, id. Did you mean 'content'?" in str(
        raised.value
    )
    with pytest.raises(ConfigError, match=r"only content, id\. Name its column of text"):
        _read(path)


def test_plain_text_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffOne.\r\nZwei: ü".encode())
    assert _read(path) == "One.\nZwei: ü"


def test_a_line_separator_inside_a_text_ends_no_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.ndjson"
    path.write_text('{"text": "a\u2028b"}\n\n{"text": "c\\n"}', encoding="utf-8")
    assert _read(path) == "a\u2028b\n\nc\n"


def test_a_folder_is_all_its_text_by_name(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "b" / "two.MD").write_text("Two.")
    (tmp_path / "a.txt").write_text("One.")
    (tmp_path / "a.png").write_bytes(b"\xff")
    (tmp_path / ".git" / "c.txt").write_text("Hidden.")
    assert _read(tmp_path) == "One.Two."


def test_a_folder_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no text in it\. Put files there: \.txt"):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"abc\xffdef", "a.txt is not UTF-8 at byte 3. Save it as UTF-8"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', "a.jsonl is not UTF-8 at byte 24"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "a.jsonl, line 2 is not JSON: "),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', "a.jsonl, line 2 is of type list"),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": 5}\n', "a.jsonl, line 3, text is of type int"),
        ("a.jsonl", b'{"messages": [{"role": "user"}]}', "line 1, messages[0] is no message"),
        ("a.jsonl", b'{"messages": ["Hi"]}', "line 1, messages[0] is no message"),
        ("a.jsonl", b'{"text": ""}\n', "a.jsonl has no text in it"),
        ("a.json", b"{}", "a.json is no text that can be read"),
    ],
)
def test_a_broken_file_is_named_with_the_place(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError) as raised:
        _read(tmp_path / name)
    assert message in str(raised.value)


def test_plain_text_has_no_column(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One.")
    with pytest.raises(ConfigError, match="plain text, without a column 'text'"):
        _read(tmp_path / "a.txt", column="text")


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    path = _write_parquet(tmp_path, [{"text": "One."}])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"rows\.parquet is not a whole Parquet file"):
        _read(path)


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"nanoaccel\[calibration\]\""):
        _read(path)
