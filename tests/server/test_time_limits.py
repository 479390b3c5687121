"""What of a request could take for ever, and is refused instead: schemas and chat templates."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from support.servers import Served, serving

from nanoaccel.runtime.sampling.grammar import spec
from nanoaccel.runtime.sampling.grammar.library import bounded
from nanoaccel.text import template_time

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "abc"}], "max_tokens": 3}
SLOW = "{% for a in range(9999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def asked_with(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The requests that have a schema, of each API."""
    named = {"name": "x", "schema": schema}
    return [
        (
            "/v1/chat/completions",
            {**CHAT, "response_format": {"type": "json_schema", "json_schema": named}},
        ),
        (
            "/v1/responses",
            {"input": "abc", "text": {"format": {"type": "json_schema", **named}}},
        ),
        (
            "/v1/messages",
            {**CHAT, "output_config": {"format": {"type": "json_schema", "schema": schema}}},
        ),
        ("/v1/completions", {"prompt": "a", "guided_json": schema}),
    ]


@pytest.mark.parametrize("place", range(4))
def test_schema_that_is_too_long_is_refused(place: int, served: Served) -> None:
    path, body = asked_with({"enum": ["x" * 70_000]})[place]
    answer = served.post(path, body)
    assert answer.status == 400
    assert "JSON schema has 70," in answer.error["message"]
    assert "65,536 at most" in answer.error["message"]


@pytest.mark.parametrize("place", range(4))
def test_schema_that_takes_too_long_is_refused(
    place: int, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_long(_: object) -> None:
        bounded(lambda: time.sleep(0.3), 0.05)

    monkeypatch.setattr(spec, "bounded", too_long)
    path, body = asked_with({"type": "object", "properties": {"a": {"type": "string"}}})[place]
    answer = served.post(path, body)
    assert answer.status == 400
    assert "takes more than 0.05 seconds to compile" in answer.error["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/messages", CHAT),
        ("/v1/responses", {"input": "abc"}),
        ("/apply-template", CHAT),
        ("/tokenize", CHAT),
    ],
)
def test_template_that_takes_too_long_is_told(
    path: str, body: dict[str, Any], letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (letters / "chat_template.jinja").write_text(SLOW)
    monkeypatch.setattr(template_time, "MOST_SECONDS", 0.1)
    with serving(letters) as served:
        answer = served.post(path, body)
        assert answer.status == 400
        assert "chat_template.jinja takes more than" in answer.error["message"]
        assert served.get("/health").status == 200
