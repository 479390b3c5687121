"""Answers that follow a grammar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.grammar_llms import JsonBackend, write_bundle
from support.servers import Served, serving

from nanoaccel import registry

SCHEMA = {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2}


@pytest.fixture
def json_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: JsonBackend)
    with serving(write_bundle(tmp_path / "bundle")) as running:
        yield running


def answer(server: Served, **asked: Any) -> str:
    body = {"prompt": "abc", "max_tokens": 60, "temperature": 0, **asked}
    choice = server.post("/v1/completions", body).json["choices"][0]
    assert choice["finish_reason"] == "stop"
    text: str = choice["text"]
    return text


def test_answers_follow_the_grammar_that_is_asked_for(json_server: Served) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "pair", "schema": SCHEMA}}
    for asked in (
        {"response_format": form},
        {"response_format": {"type": "json_object", "schema": SCHEMA}},  # llama.cpp's clients
        {"response_format": {"type": "json_object", "value": SCHEMA}},  # huggingface_hub
        {"structured_outputs": {"json": SCHEMA}},
        {"guided_json": json.dumps(SCHEMA)},
    ):
        assert [type(one) for one in json.loads(answer(json_server, **asked))] == [bool, bool]
    assert answer(json_server, guided_regex="x{4}") == "xxxx"
    assert answer(json_server, guided_choice=["red", "blue"]) in ("red", "blue")
    assert answer(json_server, structured_outputs={"grammar": 'start: "ab"'}) == "ab"


def test_schemas_that_cannot_be_enforced_are_refused_by_name(json_server: Served) -> None:
    refused = json_server.post(
        "/v1/completions", {"prompt": "a", "guided_json": {"uniqueItems": True}}
    )
    assert refused.status == 400
    assert "uniqueItems" in refused.json["error"]["message"]
