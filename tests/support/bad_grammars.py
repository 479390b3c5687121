"""Grammars that must be refused: wrong, endless, foreign, or beyond what can be enforced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.bad_requests import COMPLETIONS, Bad

_LOOP = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}

SCHEMAS: dict[str, Any] = {
    "list": [],
    "text": "no JSON",
    "number": 7,
    "unknown type": {"type": "text"},
    "type of a number": {"type": 7},
    "types of numbers": {"type": [1]},
    "properties of a list": {"type": "object", "properties": []},
    "property of a number": {"type": "object", "properties": {"a": 7}},
    "required of text": {"type": "object", "required": "a"},
    "items of text": {"type": "array", "items": "string"},
    "empty enum": {"enum": []},
    "enum of an object": {"enum": {"a": 1}},
    "empty anyOf": {"anyOf": []},
    "anyOf of an object": {"anyOf": {"type": "string"}},
    "false": {"allOf": [False]},
    "text longer than it may be": {"type": "string", "minLength": 5, "maxLength": 1},
    "negative length": {"type": "string", "maxLength": -1},
    "length of text": {"type": "string", "maxLength": "5"},
    "number above its maximum": {"type": "integer", "minimum": 5, "maximum": 1},
    "more items than it may have": {"type": "array", "minItems": 5, "maxItems": 1},
    "negative items": {"type": "array", "minItems": -1},
    "multiple of zero": {"type": "integer", "multipleOf": 0},
    "multiple of a negative number": {"type": "integer", "multipleOf": -3},
    "multiples that multiply": {
        "allOf": [{"type": "integer", "multipleOf": prime} for prime in (10007, 10009, 10037)]
    },
    "reference to nothing": {"$ref": "#/$defs/none"},
    "reference of a number": {"$ref": 7},
    "reference in a circle": {"$defs": _LOOP, "$ref": "#/$defs/a"},
    "reference to a machine": {"$ref": "http://127.0.0.1:1/schema.json"},
    "reference to a file": {"$ref": "file:///etc/passwd"},
    "reference to a path": {"$ref": "../../etc/passwd"},
    "oneOf": {"oneOf": [{"type": "string"}, {"minLength": 1}]},
    "not": {"not": {"type": "string"}},
    "if": {"if": {"type": "string"}, "then": {"minLength": 1}},
    "unique items": {"type": "array", "uniqueItems": True},
    "contains": {"type": "array", "contains": {"type": "string"}},
    "names of properties": {"type": "object", "propertyNames": {"maxLength": 3}},
    "unknown format": {"type": "string", "format": "of our own"},
    "open pattern": {"type": "string", "pattern": "("},
    "pattern that looks ahead": {"type": "string", "pattern": "(?=a)b"},
    "pattern that looks behind": {"type": "string", "pattern": "(?<!a)b"},
    "pattern that refers back": {"type": "string", "pattern": "(a)\\1"},
    "pattern of forced text": {"type": "string", "pattern": "^((a{999}){999}){999}$"},
    "pattern of a number": {"type": "string", "pattern": 7},
    "pattern of a surrogate": {"type": "string", "pattern": "\ud800"},
    "800 levels": '{"items":' * 800 + "{}" + "}" * 800,
    "the library's options": {"type": "object", "x-guidance": {"lenient": True}},
    "100 KB": {"enum": [f"{number:08}" for number in range(9000)]},
}
REGEXES: dict[str, Any] = {
    "open group": "(a",
    "open class": "[a",
    "nothing to repeat": "*a",
    "range turned": "[z-a]",
    "counts turned": "a{5,1}",
    "look ahead": "a(?=b)",
    "look behind": "(?<=a)b",
    "back reference": "(a)\\1",
    "bomb of counts": "((((a{99}){99}){99}){99}){99}",
    "huge count": "a{4000000000}",
    "deep": "(" * 5000 + "a" + ")" * 5000,
    "long": "a|" * 40_000 + "a",
    "bomb after a choice": "(x|y)a{90000}",
    "unknown class": "\\p{Nothing}",
    "surrogate": "\ud800",
    "number": 7,
    "list": ["a"],
}
CHOICES: dict[str, Any] = {
    "none": [],
    "text": "a",
    "number": 1,
    "numbers": [1, 2],
    "empty text": [""],
    "null": ["a", None],
    "object": {"a": 1},
    "surrogate": ["\ud800"],
    "100 KB": ["a" * 100_000],
}
LARKS: dict[str, Any] = {
    "no grammar": "hello",
    "no start": 'begin: "a"',
    "unknown rule": "start: other",
    "unknown token": "start: OTHER",
    "open text": 'start: "a',
    "only itself": "start: start",
    "import": "%import python.file_input\nstart: file_input",
    "path": '%import "../../etc/passwd"\nstart: "a"',
    "special token": "start: <none>",
    "wrong schema": 'start: %json {"type": "text"}',
    "foreign schema": 'start: %json {"$ref": "http://127.0.0.1:1/x"}',
    "open schema": 'start: %json {"type": ',
    "bomb": 'start: A{99999}\nA: ("a"{9999}){9999}',
    "deep": "start: " + "(" * 3000 + '"a"' + ")" * 3000,
    "null byte": 'start: "a"\x00',
    "number": 7,
}
KINDS = {"json": SCHEMAS, "regex": REGEXES, "choice": CHOICES, "grammar": LARKS}


def bad_grammars() -> Iterator[Bad]:
    """Each in one of the fields that take a grammar of its kind."""
    ask = {"prompt": "a", "max_tokens": 4}
    for kind, table in KINDS.items():
        for place, (name, value) in enumerate(table.items()):
            by_kind = {"structured_outputs": {kind: value}}
            field = by_kind if place % 2 else {f"guided_{kind}": value}
            yield Bad(f"{kind}: {name}", COMPLETIONS, {**ask, **field})
    for name, form in {
        "text": "json",
        "unknown": {"type": "xml"},
        "type of a number": {"type": 7},
        "type of a list": {"type": ["text"]},
        "no schema": {"type": "json_schema"},
        "null schema": {"type": "json_schema", "json_schema": {"schema": None}},
        "schema of a number": {"type": "json_schema", "json_schema": {"schema": 7}},
        "beside it": {"type": "json_schema", "schema": {"type": "object"}},
        "list": {"type": "json_schema", "json_schema": []},
    }.items():
        yield Bad(f"response_format: {name}", COMPLETIONS, {**ask, "response_format": form})
    both = {"guided_regex": "a", "response_format": {"type": "json_object"}}
    yield Bad("two grammars", COMPLETIONS, {**ask, **both})
    two = {"structured_outputs": {"regex": "a", "choice": ["a"]}}
    yield Bad("two kinds", COMPLETIONS, {**ask, **two})
    path = {"structured_outputs": {"json_path": "$"}}
    yield Bad("unknown kind", COMPLETIONS, {**ask, **path})
