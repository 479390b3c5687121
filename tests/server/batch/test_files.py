from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.batch_files import read_lines, request_of, write_lines

from nanoaccel.batch import answer_file
from nanoaccel.batch.answer_file import open_answers
from nanoaccel.batch.lines import Key, Reply, Request
from nanoaccel.batch.request_file import RequestFile, open_requests, unanswered
from nanoaccel.errors import ConfigError, NanoAccelError
from nanoaccel.server.connections.in_process import Answer

KEYS: set[Key] = {f"r{n}" for n in range(8)}


def reply(number: int) -> Reply:
    return Request(number + 1, f"r{number}").answer(Answer(200, "id", b'{"text": "abc"}'))


def fill(path: Path, keys: set[Key]) -> int:
    """Answer what is not answered; gives how many were."""
    with open_answers(path, keys) as answers:
        known = len(answers.done)
        for number in range(len(keys)):
            answers.add(reply(number))
        assert answers.done == keys
        return known


@given(cut=st.integers(0), zeros=st.integers(0, 5))
def test_cut_file_is_filled_up_with_each_answer_once(
    tmp_path_factory: pytest.TempPathFactory, cut: int, zeros: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "out.jsonl"
    assert fill(path, KEYS) == 0
    whole = path.read_bytes()
    left = whole[: cut % (len(whole) + 1)]
    path.write_bytes(left + b"\0" * zeros)
    assert fill(path, KEYS) == left.count(b"\n")
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", ["notes\n", "notes", '{"id": "batch_req_1"}\n', "{}"])
def test_file_of_something_else_is_left_alone(content: str, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text(content)
    with pytest.raises(ConfigError, match="line 1 is no answer"), open_answers(path, KEYS):
        pass
    assert path.read_text() == content


def test_answers_to_other_requests_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    fill(path, KEYS)
    with (
        pytest.raises(ConfigError, match="answers 'r7', which is not asked for"),
        open_answers(path, KEYS - {"r7"}),
    ):
        pass


def test_full_disk_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_answers(tmp_path / "out.jsonl", KEYS) as answers:
        monkeypatch.setattr(answer_file.os, "write", write)
        with pytest.raises(NanoAccelError, match=r"No space left on device\. .*run the same"):
            answers.add(reply(0))


def test_file_of_answers_in_no_folder_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="cannot be written: No such file"),
        open_answers(tmp_path / "none" / "out.jsonl", KEYS),
    ):
        pass


def test_same_custom_id_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in", [request_of("a"), b"", request_of("b"), request_of("a")])
    with (
        open_requests(path) as requests,
        pytest.raises(ConfigError, match="lines 1 and 4 both have custom_id 'a'"),
    ):
        requests.keys()


def test_empty_lines_and_a_byte_order_mark_do_not_count(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in", [request_of("a"), b" \r", b"{", request_of("b")])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().removesuffix(b"\n"))
    with open_requests(path) as requests:
        assert requests.keys() == {"a", 3, "b"}
        assert [one.key for one in unanswered(requests, {3})] == ["a", "b"]


def test_requests_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none cannot be read"), open_requests(tmp_path / "none"):
        pass


def test_file_without_lines_asks_for_nothing() -> None:
    assert RequestFile(io.BytesIO(b"\n\n"), "in").keys() == set()


def test_answers_are_whole_lines_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with open_answers(path, KEYS) as answers:
        for number in range(3):
            answers.add(reply(number))
            answers.add(reply(number))
            assert len(read_lines(path)) == number + 1
