"""The description of the API is that of the code: every route, every field, every answer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from starlette.routing import Route
from support.adapters import write_adapter
from support.disk_tiers import wait_until
from support.servers import Served, serving

from nanoaccel.server import app as application
from nanoaccel.server.config import Limits, ServerConfig
from nanoaccel.server.http.call import Call
from nanoaccel.server.openapi.document import openapi_document
from nanoaccel.server.openapi.operations import operations
from nanoaccel.server.service import Service

SERVER = Path(application.__file__).parent
TABLE = operations(Limits())
POSTS = {path: operation for (method, path), operation in TABLE.items() if method == "POST"}
_READERS = {"raw", "typed", "listed", "within"}


@pytest.fixture
def served(letters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server that may load an adapter, which is where the examples say."""
    write_adapter(tmp_path / "adapter")
    monkeypatch.chdir(tmp_path)
    with serving(letters, load_adapters=True) as running:
        yield running


@pytest.fixture
def document(served: Served) -> dict[str, Any]:
    shown: dict[str, Any] = served.get("/openapi.json").json
    return shown


def check(value: object, schema: Any, document: dict[str, Any]) -> None:
    """Raise unless a value is of a schema of the document."""
    jsonschema.validate(value, {**schema, "components": document["components"]})


def test_every_route_is_described_and_no_other(letters: Path) -> None:
    service = Service(ServerConfig(bundles=(letters,)))
    routes = {
        (method, route.path)
        for route in application._routes(service)
        if isinstance(route, Route) and route.methods is not None
        for method in route.methods - {"HEAD"}
        if route.path not in ("/", "/page/{name}")
    }
    bare = {(method, path.removeprefix("/v1")) for method, path in TABLE}
    assert routes == {*TABLE, *bare}


def test_every_field_that_the_code_names_is_described() -> None:
    """Also those that only some requests have read."""
    named: dict[str, str] = {}
    for path in SERVER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in _READERS
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                named[str(node.args[0].value)] = path.name
    described = {name for one in POSTS.values() for name in one.fields}
    for one in POSTS.values():  # and what is within them
        for field in one.fields.values():
            described |= set(field.get("properties", {}))
            for within in field.get("properties", {}).values():
                described |= set(within.get("properties", {}))
    assert {name: file for name, file in named.items() if name not in described} == {}


@pytest.mark.parametrize("path", POSTS)
def test_a_handler_reads_what_is_described(
    path: str, served: Served, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[set[str]] = []
    leave = Service.leave

    def note(service: Service, call: Call) -> None:
        read.append(call.fields._read)
        leave(service, call)

    monkeypatch.setattr(Service, "leave", note)
    if path == "/v1/unload_lora_adapter":
        served.post("/v1/load_lora_adapter", {"lora_name": "sql", "lora_path": "adapter"})
        wait_until(lambda: len(read) == 1, "a call that has ended")
        read.clear()
    for example in POSTS[path].examples:
        answer = served.post(path, example)
        assert answer.status == 200, answer.body
        check(answer.json, POSTS[path].answer, document)
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        check(example, body["schema"], document)
    wait_until(lambda: len(read) == len(POSTS[path].examples), "calls that have ended")
    assert set().union(*read) == set(POSTS[path].fields)


@pytest.mark.parametrize("path", [path for path, one in POSTS.items() if one.events is not None])
def test_events_are_as_described(path: str, served: Served, document: dict[str, Any]) -> None:
    (example, *_) = POSTS[path].examples
    answer = served.post(path, {**example, "stream": True})
    events = answer.named_events if path in ("/v1/responses", "/v1/messages") else answer.events
    assert events
    for event in events:
        check(event, POSTS[path].events, document)


@pytest.mark.parametrize("path", [path for method, path in TABLE if method == "GET"])
def test_what_is_got_is_as_described(path: str, served: Served, document: dict[str, Any]) -> None:
    operation = TABLE["GET", path]
    answer = served.get(path.format(model="letters"))
    assert answer.status == 200
    assert answer.headers["content-type"] == operation.media
    if operation.media == "application/json":
        check(answer.json, operation.answer, document)


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for method, path in TABLE if "{" in path or method == "POST"],
)
def test_errors_are_as_described(
    method: str, path: str, served: Served, document: dict[str, Any]
) -> None:
    (response,) = {
        told["$ref"]
        for status, told in document["paths"][path][method.lower()]["responses"].items()
        if "XX" in status
    }
    name = response.rpartition("/")[2]
    schema = document["components"]["responses"][name]["content"]["application/json"]["schema"]
    if method == "POST":
        answer = served.post(path, {"model": 7})
    else:
        answer = served.get(path.format(model="none"))
    assert 400 <= answer.status < 500
    check(answer.json, schema, document)


def test_every_schema_is_one(document: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator
    for schema in document["components"]["schemas"].values():
        validator.check_schema(schema)
    for path in POSTS:
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        validator.check_schema(body["schema"])


def test_document_says_which_operations_need_a_key(letters: Path) -> None:
    with serving(letters, api_keys=("key",)) as served:
        paths = served.get("/openapi.json").json["paths"]
        for path, status in {"/health": 200, "/openapi.json": 200, "/v1/models": 401}.items():
            assert served.get(path).status == status
            assert bool(paths[path]["get"]["security"]) == (status == 401)


def test_limits_of_the_server_are_in_the_document(letters: Path) -> None:
    config = ServerConfig(bundles=(letters,), limits=Limits(messages=7))
    chat = openapi_document(config)["paths"]["/v1/chat/completions"]["post"]
    schema = chat["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["messages"]["maxItems"] == 7
