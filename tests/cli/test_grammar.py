"""``generate`` with a grammar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.grammar_llms import JsonBackend, write_bundle

from nanoaccel import registry


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: JsonBackend)
    return write_bundle(tmp_path / "bundle")


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "schema.json"
    path.write_text('{"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2}')
    return path


def test_generate_follows_a_schema(bundle: Path, schema: Path, run_cli: Any) -> None:
    ended = run_cli("generate", bundle, "abc", "--json-schema", schema)
    assert ended.code == 0
    answer = json.loads(ended.out)
    assert [type(item) for item in answer] == [bool, bool]


def test_generate_lets_json_have_spaces(bundle: Path, schema: Path, run_cli: Any) -> None:
    asked = ("generate", bundle, "abc", "--json-schema", schema, "--flexible-whitespace")
    ended = run_cli(*asked, "--max-tokens", 400, "--temperature", 1, "--seed", 2)
    assert ended.code == 0
    assert any(space in ended.out.strip() for space in " \n")
    assert [type(item) for item in json.loads(ended.out)] == [bool, bool]


def test_generate_follows_a_pattern_and_a_choice(bundle: Path, run_cli: Any) -> None:
    assert run_cli("generate", bundle, "abc", "--regex", "x{4}").out == "xxxx\n"
    ended = run_cli("generate", bundle, "abc", "--choice", "red", "--choice", "blue", "--json")
    assert json.loads(ended.out)["text"] in ("red", "blue")


def test_generate_refuses_grammars_by_name(
    bundle: Path, schema: Path, letters: Path, run_cli: Any
) -> None:
    both = run_cli("generate", bundle, "abc", "--json-schema", schema, "--regex", "a")
    assert both.code == 2
    assert "--json-schema and --regex are both given" in both.err
    alone = run_cli("generate", bundle, "abc", "--flexible-whitespace")
    assert alone.code == 2
    assert "--flexible-whitespace is given without --json-schema" in alone.err
    missing = run_cli("generate", bundle, "abc", "--json-schema", "nowhere.json")
    assert missing.code == 2
    assert "nowhere.json cannot be read" in missing.err
    schema.write_text('{"uniqueItems": true}')
    refused = run_cli("generate", bundle, "abc", "--json-schema", schema)
    assert refused.code == 2
    assert "uniqueItems" in refused.err
    unfit = run_cli("generate", letters, "abc", "--regex", "a")
    assert unfit.code == 2
    assert "tokenizer of this model" in unfit.err
