from __future__ import annotations

import json
import pickle
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from nanoaccel import Grammar, SamplingParams
from nanoaccel.errors import MissingExtraError, SamplingError
from nanoaccel.runtime.sampling.grammar import library

REFUSED: dict[str, tuple[Callable[[], Grammar], str]] = {
    "oneOf": (lambda: Grammar.json_schema({"oneOf": [{"type": "string"}, {}]}), "oneOf"),
    "not": (lambda: Grammar.json_schema({"not": {"type": "string"}}), "not"),
    "unique": (lambda: Grammar.json_schema({"uniqueItems": True}), "uniqueItems"),
    "format": (lambda: Grammar.json_schema({"type": "string", "format": "own"}), "own"),
    "type": (lambda: Grammar.json_schema({"type": "text"}), "text"),
    "remote": (lambda: Grammar.json_schema({"$ref": "http://a.test/b"}), "http://a.test/b"),
    "file": (lambda: Grammar.json_schema({"$ref": "file:///etc/passwd"}), "file:///etc/passwd"),
    "lenient": (lambda: Grammar.json_schema({"x-guidance": {"lenient": True}}), "x-guidance"),
    "within": (lambda: Grammar.lark('start: %json {"uniqueItems": true}'), "uniqueItems"),
    "lenient within": (
        lambda: Grammar.lark('start: %json {"x-guidance": {"lenient": true}, "not": {}}'),
        "not",
    ),
    "empty": (lambda: Grammar.json_schema({"enum": []}), "Unsatisfiable"),
    "boolean": (lambda: Grammar.json_schema("true"), "no JSON object"),
    "no JSON": (lambda: Grammar.json_schema("{"), "not JSON"),
    "deep": (lambda: Grammar.json_schema('{"items":' * 3000 + "{}" + "}" * 3000), "recursion"),
    "deeper": (lambda: Grammar.json_schema('{"items":' * 7000 + "{}"), "JSON"),
    "nan": (lambda: Grammar.json_schema({"const": float("nan")}), "JSON"),
    "no JSON of a kind": (lambda: Grammar.of("choice", [object()]), "the choice is not JSON"),
    "list": (lambda: Grammar.json_schema([]), "type list"),  # type: ignore[arg-type]
    "object": (
        lambda: Grammar.json_schema({"const": object()}),
        "the JSON schema is not JSON",
    ),
    "surrogate": (lambda: Grammar.regex("a\ud800"), "surrogate"),
    "large": (lambda: Grammar.json_schema({"enum": ["x" * 70_000]}), "65,536"),
    "multiple": (lambda: Grammar.json_schema({"multipleOf": 123457}), "multipleOf=123457"),
    "multiples": (
        lambda: Grammar.json_schema({"allOf": [{"multipleOf": 9.97}, {"multipleOf": 991}]}),
        "multipleOf",
    ),
    "multiple within": (
        lambda: Grammar.lark('start: %json {"type": "integer", "multipleOf": 99999999}'),
        "multipleOf=99999999",
    ),
    "parenthesis": (lambda: Grammar.regex("("), "unclosed group"),
    "look-around": (lambda: Grammar.regex("(?=a)b"), "look-around"),
    "no rule": (lambda: Grammar.lark("start: other"), "other"),
    "nested": (lambda: Grammar.lark("start: " + "(" * 9000 + '"a"' + ")" * 9000), "nested"),
    "no choice": (lambda: Grammar.choice([]), "no texts"),
    "empty choice": (lambda: Grammar.choice(["a", ""]), "not empty"),
    "number": (lambda: Grammar.choice(["a", 1]), "string"),  # type: ignore[list-item]
    "one text": (lambda: Grammar.choice("yes"), "list"),
    "before": (lambda: Grammar("regex", "a", before=5), "before"),  # type: ignore[arg-type]
    "kind": (lambda: Grammar("bnf", "a"), "bnf"),  # type: ignore[arg-type]
    "kind of a wrong type": (lambda: Grammar([], "a"), "kind"),  # type: ignore[arg-type]
    "source": (lambda: Grammar("regex", 5), "source"),  # type: ignore[arg-type]
    "whitespace": (
        lambda: Grammar.json_object(flexible_whitespace="no"),  # type: ignore[arg-type]
        "flexible_whitespace",
    ),
    "no grammar": (
        lambda: SamplingParams(grammar={"type": "object"}),  # type: ignore[arg-type, return-value]
        "no Grammar",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_grammar_that_cannot_be_enforced_is_refused_by_name(case: str) -> None:
    make, named = REFUSED[case]
    begun = time.monotonic()
    with pytest.raises(SamplingError) as caught:
        make()
    assert named in str(caught.value)
    assert len(str(caught.value)) < 600
    assert time.monotonic() - begun < 3


def test_grammars_of_the_same_words_are_equal_and_travel() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    grammar = Grammar.json_schema(schema)
    assert grammar == Grammar.json_schema(json.dumps(schema))
    assert grammar != Grammar.json_schema(schema, flexible_whitespace=True)
    assert len({grammar, Grammar.json_schema(schema)}) == 1
    params = SamplingParams(grammar=grammar)
    assert pickle.loads(pickle.dumps(params)) == params


def test_grammar_of_a_kind_by_its_name() -> None:
    assert Grammar.of("regex", "a+") == Grammar.regex("a+")
    assert Grammar.of("choice", ["a", "é"]) == Grammar.choice(["a", "é"])
    assert Grammar.of("json_schema", {"type": "null"}) == Grammar.json_schema({"type": "null"})
    assert Grammar.json_object(flexible_whitespace=True).flexible_whitespace
    assert not Grammar.json_object().flexible_whitespace


def test_multiples_of_fractions_and_small_numbers_are_taken() -> None:
    parts: list[Any] = [{"multipleOf": 0.01}, {"multipleOf": 5}, {"type": "array", "items": {}}]
    assert Grammar.json_schema({"anyOf": parts}).kind == "json_schema"


def test_grammar_without_the_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(MissingExtraError, match=r"nanoaccel\[grammar\]"):
        Grammar.regex("a")


def test_work_that_takes_too_long_is_given_up_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_abandoned", [])
    go_on = threading.Event()
    for _ in range(2):
        with pytest.raises(SamplingError, match=r"more than 0\.01 seconds"):
            library.bounded(go_on.wait, 0.01)
    with pytest.raises(SamplingError, match="not done yet"):
        library.bounded(lambda: 1)
    monkeypatch.setattr(library, "_abandoned", list(library._abandoned[:1]))
    monkeypatch.setattr(library, "MOST_SECONDS", 0.02)
    with pytest.raises(SamplingError, match=r"more than 0\.02 seconds"):
        library.bounded(go_on.wait)
    go_on.set()
    for thread in list(library._abandoned):
        thread.join(10)
    assert library.bounded(lambda: 1) == 1


def test_work_that_fails_says_why() -> None:
    with pytest.raises(ZeroDivisionError):
        library.bounded(lambda: 1 // 0)
