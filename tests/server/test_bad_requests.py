"""Hundreds of bad requests: each is told why in a 4xx, and none costs the others anything."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import jsonschema
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import bad_http
from support.bad_apis import bad_embeddings, bad_messages, bad_responses
from support.bad_grammars import bad_grammars
from support.bad_requests import Bad, bad_bodies, bad_chats, bad_values, unknown_models
from support.bad_tools import bad_scores, bad_tools
from support.grammar_llms import JsonBackend, write_bundle
from support.rich_bodies import BODIES, wrong_within
from support.servers import Answer, Served, serving
from support.wrong_bodies import VALUES, changes

from nanoaccel import registry
from nanoaccel.server.config import Limits
from nanoaccel.testing.engines import TEMPLATE

TABLE = [
    *bad_bodies(), *bad_chats(), *bad_values(), *unknown_models(), *bad_grammars(),
    *bad_embeddings(), *bad_responses(), *bad_messages(), *bad_tools(), *bad_scores(),
]  # fmt: skip
RAW = list(bad_http.bad_http())
SLOWEST = 6.0  # seconds; a grammar may take five until it is refused
GOOD = {"prompt": "a", "max_tokens": 4, "guided_regex": "[0-9]+"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all, with deadlines that a test can wait for."""
    folder = write_bundle(tmp_path_factory.mktemp("bad") / "json")
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry.BACKENDS, "resolve", lambda _: JsonBackend)
        limits = Limits(header_seconds=0.5, body_seconds=0.5)
        with serving(folder, limits=limits, tool_parser="hermes") as running:
            yield running


@pytest.fixture(scope="module")
def expected(served: Served) -> str:
    """The text of a good request, before all others."""
    return text_of_good(served)


@pytest.fixture(autouse=True)
def goes_on(served: Served, expected: str) -> Iterator[None]:
    """Whatever a test has sent, a good request is answered as before."""
    yield
    assert text_of_good(served) == expected


def text_of_good(served: Served) -> str:
    answer = served.post("/v1/completions", GOOD)
    assert answer.status == 200, answer.body
    text: str = answer.json["choices"][0]["text"]
    return text


def check_refusal(answer: Answer, path: str) -> None:
    """Raise unless it is a 4xx with an error in the form of its API, and without a traceback."""
    assert 400 <= answer.status < 500, answer.body
    if path.startswith("/v1/messages"):
        assert answer.json["type"] == "error"
        assert set(answer.error) == {"type", "message"}
    else:
        assert set(answer.error) == {"message", "type", "param", "code"}
    assert answer.error["message"]
    assert b"Traceback" not in answer.body
    assert b"\n" not in answer.body


def test_table_is_long() -> None:
    assert len(TABLE) + len(RAW) >= 780
    assert len({(bad.path, bad.name, bad.raw) for bad in TABLE}) == len(TABLE)


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: ascii(bad.name))
def test_request_is_told_why(bad: Bad, served: Served) -> None:
    begun = time.monotonic()
    answer = served.post(bad.path, bad.raw)
    assert time.monotonic() - begun < SLOWEST
    check_refusal(answer, bad.path)


@pytest.mark.parametrize("sent", [sent for _, sent in RAW], ids=[name for name, _ in RAW])
def test_bytes_are_refused(sent: bytes, served: Served) -> None:
    received = bad_http.exchange(served.port, sent)
    if not received:  # it waited for the end of the headers
        assert b"\r\n\r\n" not in sent
        return
    head, _, body = received.partition(b"\r\n\r\n")
    assert head[:10] == b"HTTP/1.1 4", received
    assert b"x-injected" not in head.lower()
    assert json.JSONDecoder().raw_decode(body.decode())[0]["error"]["message"]


def test_client_that_goes_away_leaves_nothing(served: Served) -> None:
    for _, sent in bad_http.cut_short():
        bad_http.hang_up(served.port, sent)


def test_description_is_kept(served: Served) -> None:
    """What it does not allow is refused; what it allows is never a fault of the server."""
    tried = list(changes(served.get("/openapi.json").json))
    assert sum(not one.is_valid for one in tried) > 1000
    wrong = []
    for one in tried:
        answers = [served.post(one.path, body) for body in one.bodies]
        refusals = [answer for answer in answers if answer.status >= 400]
        for answer in refusals:
            check_refusal(answer, one.path)
        if not one.is_valid and not refusals:
            wrong.append((one.path, one.field, f"{one.value!r:.60}"))
    assert wrong == []


@pytest.mark.parametrize("path", BODIES)
def test_any_value_within_a_body_is_answered_or_refused(path: str, served: Served) -> None:
    good = BODIES[path]
    assert served.post(path, good).status == 200, served.post(path, good).body
    described = served.get("/openapi.json").json["paths"][path]["post"]["requestBody"]
    schema = described["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(good)
    wrong = []
    for body in wrong_within(good):
        answer = served.post(path, {**body, "timeout": 1})
        assert answer.status < 500, (body, answer.body)
        if answer.status >= 400:
            check_refusal(answer, path)
        elif not validator.is_valid(body):
            wrong.append(next(validator.iter_errors(body)).json_path)
    assert wrong == []


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_body_is_answered_or_refused(data: st.DataObject, served: Served) -> None:
    paths: dict[str, Any] = served.get("/openapi.json").json["paths"]
    path = data.draw(
        st.sampled_from([path for path, methods in paths.items() if "post" in methods])
    )
    content = paths[path]["post"]["requestBody"]["content"]["application/json"]
    names = st.sampled_from([*content["schema"]["properties"], "none"])
    value = ANYTHING | st.sampled_from(VALUES)
    changed = data.draw(st.dictionaries(names, value, min_size=1, max_size=5))
    # What may be long is not what is tried here.
    body = {**content["examples"]["1"]["value"], **changed, "timeout": 1}
    answer = served.post(path, body)
    assert answer.status < 500, answer.body
    if answer.status >= 400:
        check_refusal(answer, path)


def test_memory_is_flat(served: Served) -> None:
    cheap = [bad for bad in TABLE if len(bad.raw) < 1000 and "guided" not in bad.name][:200]
    process = psutil.Process()

    def send_all() -> int:
        for bad in cheap:
            served.post(bad.path, bad.raw)
        resident: int = process.memory_info().rss
        return resident

    send_all()
    before = send_all()
    for _ in range(3):
        after = send_all()
    assert after - before < 16 << 20
