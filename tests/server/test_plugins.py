"""Routes that plugins add."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.grammar_llms import JsonBackend, write_bundle
from support.plugins import Install
from support.servers import Served, serving

from nanoaccel import registry

ROUTES = """
from starlette.responses import JSONResponse
from starlette.routing import Route

def routes(models):
    async def show(request):
        async with models.use() as client:
            return JSONResponse({"tokens": len(client.tokenizer.encode("tide"))})
    async def fail(request):
        raise OSError("gone")
    return [Route("/show", show), Route("/fail", fail)]

def broken(models):
    return [7]
"""


def test_plugin_serves_below_its_name_and_behind_the_key(
    letters: Path, install_plugin: Install, caplog: pytest.LogCaptureFixture
) -> None:
    points = {"mine": "routes", "broken": "broken"}
    install_plugin("more-routes", {"server_routes.v1": points}, ROUTES)
    with caplog.at_level(logging.WARNING, "nanoaccel"), serving(letters, api_keys=("k",)) as served:
        key = {"authorization": "Bearer k"}
        assert served.get("/plugins/mine/show").status == 401
        assert served.get("/plugins/mine/show", **key).json == {"tokens": 4}
        assert served.get("/plugins/mine/fail", **key).status == 500
        assert served.get("/plugins/broken/x", **key).status == 404
        assert served.get("/health").status == 200
    assert "server route 'broken' failed with TypeError" in caplog.text


PARTS = """
from nanoaccel.runtime.sampling.grammar import Translation

class Only:
    def __init__(self, options):
        self.token = options.values.get("token")
        if not isinstance(self.token, int):
            raise ValueError("token is no number")
    def apply(self, row, position):
        row[:] = -1e9
        row[self.token] = 0
    def accept(self, token_id): pass
    def copy(self): return self

class Words:
    title = "list of words"
    def translate(self, source):
        if source == "break":
            raise KeyError("broken inside")
        if not source.isalpha():
            raise ValueError("it is no word")
        return Translation("regex", source)
"""


@pytest.fixture
def parts(
    tmp_path: Path, install_plugin: Install, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    groups = {"logits_processors.v1": {"only": "Only"}, "grammars.v1": {"words": "Words"}}
    install_plugin("more-parts", groups, PARTS)
    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: JsonBackend)
    with serving(write_bundle(tmp_path / "bundle")) as running:
        yield running


def ask(server: Served, **fields: Any) -> Any:
    return server.post("/v1/completions", {"prompt": "abc", "max_tokens": 2, **fields})


def test_request_names_processors_and_grammars_of_plugins(parts: Served) -> None:
    def text(**fields: Any) -> str:
        written: str = ask(parts, **fields).json["choices"][0]["text"]
        return written

    assert text(guided_words="ab") == "ab"
    assert text(structured_outputs={"words": "ab"}) == "ab"
    assert text(response_format={"type": "words", "words": "ab"}) == "ab"
    one, other = (text(processors={"only": {"token": token}}) for token in (70, 71))
    assert one[0] == one[1] != other[0] == other[1]
    described = str(parts.get("/openapi.json").json)
    assert "'only'" in described
    assert "'words'" in described


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"processors": {"onyl": {}}}, "no logits processor 'onyl'. Did you mean 'only'?"),
        ({"processors": {"only": 3}}, "processors['only'] is no object"),
        ({"processors": {"only": {"token": "x"}}}, "token is no number"),
        ({"processors": {f"{n}": {} for n in range(17)}}, "At most 16 are allowed"),
        ({"structured_outputs": {"words": "1"}}, "the list of words cannot be used: it is no"),
        ({"response_format": {"type": "wrods"}}, "knows no type 'wrods'. Did you mean 'words'"),
        ({"response_format": {"type": "words"}}, "needs a field words"),
    ],
)
def test_request_that_names_plugins_wrongly_is_refused(
    fields: dict[str, Any], told: str, parts: Served
) -> None:
    refused = ask(parts, **fields)
    assert refused.status == 400
    assert told in refused.json["error"]["message"]


def test_request_whose_grammar_fails_names_it_and_not_the_reason(parts: Served) -> None:
    failed = ask(parts, structured_outputs={"words": "break"})
    assert failed.status == 500
    assert "grammar 'words' cannot be used" in failed.json["error"]["message"]
    assert "broken inside" not in failed.json["error"]["message"]


def test_request_that_names_a_processor_where_there_is_none(letters: Path) -> None:
    with serving(letters) as served:
        refused = served.post("/v1/completions", {"prompt": "tide", "processors": {"mine": {}}})
    assert refused.status == 400
    assert "There is none to choose from" in refused.json["error"]["message"]
