"""Whatever a client sends, it is told what is wrong, and the server goes on."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.servers import Answer, Served, serving

from nanoaccel.server.config import Limits

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
HI = [{"role": "user", "content": "hi"}]


def chat(**changes: Any) -> dict[str, Any]:
    return {"messages": HI, "max_tokens": 2, **changes}


BAD = [
    (CHAT, b"", "not JSON"),
    (CHAT, b"{", "not JSON"),
    (CHAT, b"\xff\xfe", "not UTF-8"),
    (CHAT, b"[]", "JSON list"),
    (CHAT, b"null", "JSON NoneType"),
    (CHAT, b'{"temperature": NaN}', "holds NaN"),
    (CHAT, b'{"n": ' + b"9" * 5000 + b"}", "number that cannot be read"),
    (CHAT, b'{"a":' * 70 + b"1" + b"}" * 70, "64 levels"),
    (CHAT, b"[" * 100_000, "64 levels"),
    (CHAT, {}, "messages is missing"),
    (CHAT, chat(messages=[]), "messages is missing"),
    (CHAT, chat(messages="hi"), "must be a list"),
    (CHAT, chat(messages=["hi"]), "messages[0]"),
    (CHAT, chat(messages=[{"content": "hi"}]), "role"),
    (CHAT, chat(messages=[{"role": "user"}]), "content"),
    (CHAT, chat(messages=[{"role": "user", "content": 1}]), "must be a string"),
    (CHAT, chat(messages=[{"role": "user", "content": "\ud800"}]), "surrogate"),
    (CHAT, chat(messages=[{"role": "user", "content": [{"type": "image_url"}]}]), "text only"),
    (CHAT, chat(messages=HI * 3000), "2048"),
    (CHAT, chat(messages=[{"role": "assistant", "tool_calls": [{}]}]), "function name"),
    (
        CHAT,
        chat(messages=[{"role": "user", "content": "a" * 100}]),
        "has 101 tokens and max_tokens",
    ),
    (CHAT, chat(model=7), "model is 7"),
    (CHAT, chat(n=0), "n=0"),
    (CHAT, chat(n=1_000_000), "1 to 128"),
    (CHAT, chat(n=True), "n is true"),
    (CHAT, chat(temperature=-1), "temperature=-1"),
    (CHAT, chat(temperature="hot"), "temperature='hot'"),
    (CHAT, chat(temperature=1e999), None),
    (CHAT, chat(top_p=2), "top_p=2"),
    (CHAT, chat(max_tokens=-1), "max_tokens=-1"),
    (CHAT, chat(max_tokens=1.5), "max_tokens=1.5"),
    (CHAT, chat(seed="x"), "seed='x'"),
    (CHAT, chat(stop=[""]), "empty string"),
    (CHAT, chat(stop=["x"] * 17), "At most 16"),
    (CHAT, chat(stop="x" * 2000), "At most 1024"),
    (CHAT, chat(stop=7), "must be a list"),
    (CHAT, chat(logit_bias={"foo": 0}), "logit_bias"),
    (CHAT, chat(logit_bias={"999": 1}), "999"),
    (CHAT, chat(logit_bias={str(place): 1 for place in range(2000)}), "At most 1024"),
    (CHAT, chat(logprobs=True, top_logprobs=21), "0 to 20"),
    (CHAT, chat(top_logprobs=2), "logprobs=true"),
    (CHAT, chat(stream="yes"), "true or false"),
    (CHAT, chat(stream_options=1), "stream_options"),
    (CHAT, chat(tools=[{}]), "tools[0]"),
    (CHAT, chat(tools=[{"type": "function", "function": {"name": "f"}}] * 200), "At most 128"),
    (CHAT, chat(tool_choice="required"), "tool_choice"),
    (CHAT, chat(response_format={"type": "xml"}), "response_format"),
    (CHAT, chat(response_format={"type": "json_schema"}), "response_format"),
    (CHAT, chat(guided_regex="a+", guided_choice=["a"]), "guided_choice"),
    (CHAT, chat(guided_regex="(a"), "regex"),
    (CHAT, chat(structured_outputs={"json_path": "$"}), "structured_outputs"),
    (CHAT, chat(chat_template="{{ 1 }}"), "chat_template"),
    (CHAT, chat(chat_template_kwargs={"messages": []}), "chat_template_kwargs"),
    (CHAT, chat(chat_template_kwargs={"thinking": {}}), "thinking"),
    (CHAT, chat(timeout=0), "timeout=0"),
    (CHAT, chat(timeout="x"), "timeout"),
    (CHAT, chat(priority="x"), "priority"),
    (COMPLETIONS, {}, "prompt is missing"),
    (COMPLETIONS, {"prompt": ""}, "empty"),
    (COMPLETIONS, {"prompt": []}, "empty"),
    (COMPLETIONS, {"prompt": 7}, "prompt is 7"),
    (COMPLETIONS, {"prompt": [-1]}, "-1"),
    (COMPLETIONS, {"prompt": [999]}, "999"),
    (COMPLETIONS, {"prompt": [True]}, None),
    (COMPLETIONS, {"prompt": ["a", None]}, "prompt[1]"),
    (COMPLETIONS, {"prompt": ["a"] * 200}, "At most 128"),
    (COMPLETIONS, {"prompt": ["a"] * 10, "n": 20}, "200 completions"),
    (COMPLETIONS, {"prompt": "a", "logprobs": 21}, "0 to 20"),
    (COMPLETIONS, {"prompt": "a", "logprobs": 21, "echo": True}, "logprobs=21"),
    (COMPLETIONS, {"prompt": "a", "suffix": "b"}, "suffix"),
    ("/tokenize", {"prompt": 7}, "must be a string"),
    ("/tokenize", {"prompt": "\udfff"}, "surrogate"),
    ("/detokenize", {"tokens": "x"}, "must be a list"),
    ("/detokenize", {"tokens": [1 << 70]}, "tokens"),
    ("/apply-template", {"messages": {}}, "must be a list"),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One server for the whole table."""
    from support.fake_llms import WatchedBackend, write_bundle

    from nanoaccel import registry
    from nanoaccel.testing.engines import VOCAB_SIZE

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry.BACKENDS, "resolve", lambda _: WatchedBackend)
        assert VOCAB_SIZE < 999
        with serving(write_bundle(tmp_path_factory.mktemp("bad") / "letters")) as served:
            yield served


@pytest.mark.parametrize(("path", "body", "reason"), BAD)
def test_bad_body_is_told_why(path: str, body: Any, reason: str | None, shared: Served) -> None:
    answer = shared.post(path, body)
    assert answer.status == 400
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert answer.error["type"] == "invalid_request_error"
    assert reason is None or reason in answer.error["message"]
    assert "Traceback" not in answer.body.decode()
    assert shared.post(COMPLETIONS, {"prompt": "a", "max_tokens": 1}).status == 200


def test_refusal_names_the_field(shared: Served) -> None:
    assert shared.post(CHAT, chat(top_p=2)).error["param"] == "top_p"
    assert shared.post(CHAT, chat(n=0)).error["param"] == "n"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", CHAT, 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/models/..%2f..%2fetc", 404),
        ("GET", "/tokenizer_info?model=../x", 404),
    ],
)
def test_unknown_paths_are_refused_in_json(
    method: str, path: str, status: int, shared: Served
) -> None:
    answer = shared.send(method, path, None, {})
    assert answer.status == status
    assert answer.error["message"]


def test_unknown_path_is_named(shared: Served) -> None:
    answer = shared.post("/v1/chat/completion", {})
    assert (answer.status, answer.error["code"]) == (404, "not_found")
    assert answer.error["message"].startswith("there is no /v1/chat/completion;")


def test_failure_of_any_path_is_told_in_json(
    letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("nanoaccel.server.openai.models.ModelsEndpoints.list", fail)
    with serving(letters) as served:
        answer = served.send("GET", "/v1/models", None, {})
        assert (answer.status, answer.error["code"]) == (500, "internal")
        assert "secret" not in answer.error["message"]


def test_unknown_model_is_not_found(shared: Served) -> None:
    answer = shared.post(CHAT, chat(model="../../etc"))
    assert (answer.status, answer.error["code"]) == (404, "model_not_found")
    assert "There is: letters" in answer.error["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_body_of_another_type_is_refused(headers: dict[str, str], shared: Served) -> None:
    assert shared.post(CHAT, chat(), **headers).status == 415


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil", ""])
def test_foreign_host_is_refused(host: str, shared: Served) -> None:
    assert shared.get("/v1/models", Host=host).status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:8080"])
def test_loopback_host_is_let_in(host: str, shared: Served) -> None:
    assert shared.get("/v1/models", Host=host).status == 200


def test_request_id_comes_back_if_it_is_one(shared: Served) -> None:
    assert shared.get("/health", **{"X-Request-Id": "my-1"}).headers["x-request-id"] == "my-1"
    assert shared.get("/health", **{"X-Request-Id": "a b"}).headers["x-request-id"] != "a b"


def raw(served: Served, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(sent)
        received = b""
        while part := connection.recv(65536):
            received += part
        return received


NO_HTTP = (
    b"nonsense\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000,
    b"\x16\x03\x01\x02\x00\r\n\r\n",
)


@pytest.mark.parametrize("sent", NO_HTTP, ids=["nonsense", "long header", "TLS"])
def test_what_is_no_http_is_told_so(sent: bytes, shared: Served) -> None:
    received = raw(shared, sent)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"this is no HTTP request" in received


def test_large_body_is_refused(letters: Path) -> None:
    with serving(letters, limits=Limits(body_bytes=1000)) as served:
        answer = served.post(CHAT, chat(messages=[{"role": "user", "content": "a" * 2000}]))
        assert (answer.status, answer.error["code"]) == (413, "body_too_large")


def test_slow_headers_and_bodies_are_not_waited_for(letters: Path) -> None:
    with serving(letters, limits=Limits(header_seconds=0.2, body_seconds=0.2)) as served:
        head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
        assert raw(served, head) == b""
        more = b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        assert raw(served, head + more).startswith(b"HTTP/1.1 408 ")


def test_request_after_a_pause_is_answered(letters: Path) -> None:
    limits = Limits(header_seconds=0.2)
    with serving(letters, limits=limits) as served, closing(served.connect()) as connection:
        for pause in (0.5, 0.0):
            connection.request("GET", "/health")
            assert connection.getresponse().read() == b'{"status":"ok"}'
            time.sleep(pause)


KEYS = ("first-key", "second-key")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Basic first-key"}, 401),
        ({"Authorization": "Bearer first-ke\xff"}, 401),
        ({"X-Api-Key": "wrong"}, 401),
        ({"Authorization": "Bearer first-key"}, 200),
        ({"authorization": "bearer second-key"}, 200),
        ({"X-Api-Key": "second-key"}, 200),
    ],
)
def test_key_is_asked_for(headers: dict[str, str], status: int, letters: Path) -> None:
    with serving(letters, api_keys=KEYS) as served:
        answers: list[Answer] = [
            served.get("/v1/models", **headers),
            served.get("/metrics", **headers),
            served.get("/tokenizer_info", **headers),
            served.post("/tokenize", {"prompt": "a"}, **headers),
            served.post(CHAT, chat(), **headers),
        ]
        assert {answer.status for answer in answers} == {status}
        assert served.get("/health").status == 200


def test_pages_of_other_sites_are_let_in_only_if_named(letters: Path) -> None:
    origin = {"Origin": "https://example.org"}
    with serving(letters) as served:
        assert "access-control-allow-origin" not in served.get("/v1/models", **origin).headers
    with serving(letters, cors=("https://example.org",), api_keys=KEYS) as served:
        preflight = {"Access-Control-Request-Method": "POST", **origin}
        answer = served.send("OPTIONS", CHAT, None, preflight)
        assert answer.headers["access-control-allow-origin"] == "https://example.org"
        other = served.get("/health", Origin="https://evil.example")
        assert "access-control-allow-origin" not in other.headers
