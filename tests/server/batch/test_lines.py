from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.batch_files import request_of

from nanoaccel.batch.lines import Reply, Request, begins_answer
from nanoaccel.server.connections.in_process import Answer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"custom_id": None}, "invalid_custom_id", "custom_id is missing"),
        ({"custom_id": 7}, "invalid_custom_id", "custom_id is 7"),
        ({"custom_id": ""}, "invalid_custom_id", 'custom_id is ""'),
        ({"method": "GET"}, "invalid_method", '"GET". Use "POST"'),
        ({"url": "/v1/nothing"}, "invalid_url", "/v1/chat/completions"),
        ({"url": ["/v1/completions"]}, "invalid_url", "/v1/completions"),
        ({"body": []}, "invalid_body", "body is []"),
        ({"body": {"stream": True}}, "invalid_body", "stream has no meaning"),
    ],
)
def test_wrong_field_is_the_answer_to_its_line(
    changes: dict[str, object], code: str, words: str
) -> None:
    request = Request.parse(5, json.dumps({**request_of("x"), **changes}).encode())
    assert request.problem is not None
    answer = json.loads(request.refusal(request.problem).line)
    assert answer["id"] == "batch_req_5"
    assert answer["custom_id"] == (None if "custom_id" in changes else "x")
    assert answer["response"] is None
    assert answer["error"]["code"] == code
    assert answer["error"]["message"].startswith("line 5: ")
    assert words in answer["error"]["message"]


@pytest.mark.parametrize("line", [b"{", b"[]", b"7", b"\xff", b'{"a": ' * 100_000, b"1" * 5000])
def test_line_that_is_no_object_is_answered(line: bytes) -> None:
    request = Request.parse(1, line)
    assert request.problem is not None
    assert request.problem.code == "invalid_json"
    assert request.key == 1


@given(JSON)
def test_any_json_is_a_request_or_a_problem(content: object) -> None:
    for one in (content, {**request_of("x"), "url": content, "body": content}):
        request = Request.parse(1, json.dumps(one).encode())
        assert request.problem is not None


@given(st.integers(1), st.none() | st.text(min_size=1), st.sampled_from([200, 400, 500]))
def test_answer_is_read_as_it_was_written(number: int, name: str | None, status: int) -> None:
    reply = Request(number, name).answer(Answer(status, "id", b'{"text": "\\u2028\\n"}'))
    assert b"\n" not in reply.line
    assert Reply.parse(reply.line) == reply
    assert reply.failed == (status != 200)


@given(st.integers(1), st.text(min_size=1), st.integers(0), st.integers(0, 9))
def test_torn_answer_is_known_as_one(number: int, name: str, cut: int, zeros: int) -> None:
    line = Request(number, name).answer(Answer(200, "id", b"{}")).line
    assert begins_answer(line[: cut % len(line)] + b"\0" * zeros)


@pytest.mark.parametrize("line", [b"{}", b"notes", b'{"id": 7, "custom_id": "x"}', b"[1]"])
def test_other_lines_are_no_answers(line: bytes) -> None:
    assert not begins_answer(line)
    with pytest.raises(ValueError, match=r"."):
        Reply.parse(line)
