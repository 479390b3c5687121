"""A grammar in the words of llguidance, and what of it is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from nanoaccel.errors import SamplingError
from nanoaccel.runtime.sampling.grammar.formats import exact_formats, exact_formats_within
from nanoaccel.runtime.sampling.grammar.library import bounded, limits, llguidance
from nanoaccel.runtime.sampling.grammar.multiples import check_multiples, schemas_within

MAX_BYTES = 64 << 10
# A Lark grammar may hold the schemas of many tools.
MAX_LARK_BYTES = 256 << 10

GrammarKind = Literal["json_schema", "regex", "choice", "lark"]
NAMES: Mapping[GrammarKind, str] = {
    "json_schema": "JSON schema",
    "regex": "regular expression",
    "choice": "choice",
    "lark": "Lark grammar",
}
# Nothing is passed over, and nothing is taken for something similar.
_STRICT = {"lenient": False, "coerce_one_of": False, "item_separator": ",", "key_separator": ":"}

# What the library says of special tokens before it knows which there are.
_UNKNOWN_YET = "no tokenizer"
# Its word for a grammar of no text, and for what it leaves out of a message.
_NOTHING, _NO_DETAILS = "NoExtensionBias", "<non-verbose/>"


def check_grammar(
    kind: GrammarKind, source: str, flexible_whitespace: bool, before: str = ""
) -> None:
    """Refuse what can be refused without a tokenizer.

    Args:
        kind: What ``source`` is.
        source: The grammar.
        flexible_whitespace: Whether JSON may have whitespace between its parts.
        before: Lark grammar of what stands before; empty for nothing.

    Raises:
        SamplingError: It is too long, is no grammar, asks for what the library does not have, or
            takes too long to check.
        MissingExtraError: llguidance is not installed.
    """
    _check_size(kind, source)
    _check_size("lark", before)
    spec = library_spec(kind, source, flexible_whitespace, before)
    if kind == "json_schema":
        check_multiples(json.loads(source))
    for lark in (before, source if kind == "lark" else ""):
        for schema in schemas_within(lark):
            check_multiples(schema)
    check = llguidance().LLMatcher.validate_grammar_with_warnings
    _, told = bounded(lambda: check(spec, limits=limits()))
    problems = [line for line in told if not line.startswith(_UNKNOWN_YET)]
    if problems:
        raise refusal(kind, problems[0])


def library_spec(
    kind: GrammarKind, source: str, flexible_whitespace: bool, before: str = ""
) -> str:
    """The grammar as llguidance reads it.

    Raises:
        SamplingError: A schema or a choice is not JSON of its kind, or nested too deeply.
    """
    try:
        made = _library_spec(kind, _with_exact_formats(kind, source), flexible_whitespace)
        return _behind(before, made) if before else made
    except RecursionError:
        raise refusal(kind, "it is nested too deeply") from None
    except SamplingError:
        raise
    except ValueError as error:  # what the library says of its own limits
        raise refusal(kind, str(error)) from None


def _with_exact_formats(kind: GrammarKind, source: str) -> str:
    if kind == "json_schema":
        return json.dumps(exact_formats(_parsed(kind, source)))
    return exact_formats_within(source) if kind == "lark" else source


def _library_spec(kind: GrammarKind, source: str, flexible_whitespace: bool) -> str:
    matcher = llguidance().LLMatcher
    made: str
    if kind == "json_schema":
        _check_schema(source)
        overrides = {**_STRICT, "whitespace_flexible": flexible_whitespace}
        made = matcher.grammar_from_json_schema(source, overrides=overrides)
    elif kind == "regex":
        made = matcher.grammar_from_regex(source)
    else:
        made = matcher.grammar_from_lark(_choice_rule(source) if kind == "choice" else source)
    return made


def _behind(before: str, made: str) -> str:
    """A grammar of the library behind another one."""
    is_json = made.startswith("{")
    then = json.loads(made)["grammars"][0] if is_json else {"lark_grammar": made}
    grammars = [
        {"lark_grammar": "start: @before @then"},
        {"name": "before", "lark_grammar": before},
        {**then, "name": "then"},
    ]
    return json.dumps({"grammars": grammars})


def refusal(kind: GrammarKind, problem: str) -> SamplingError:
    """The error that says why a grammar cannot be used."""
    named = " ".join(problem.replace(_NO_DETAILS, "").split())
    if named == _NOTHING:
        named = "there is no text that follows it"
    return SamplingError(f"the {NAMES[kind]} cannot be used: {named:.300}")


def _check_size(kind: GrammarKind, source: str) -> None:
    most = MAX_LARK_BYTES if kind == "lark" else MAX_BYTES
    try:
        size = len(source.encode())
    except UnicodeEncodeError as error:
        raise refusal(kind, f"character {error.start} is a lone surrogate") from None
    if size > most:
        raise SamplingError(
            f"the {NAMES[kind]} has {size:,} bytes", f"It may have {most:,} at most"
        )


def _check_schema(source: str) -> None:
    schema = _parsed("json_schema", source)
    if not isinstance(schema, dict):
        raise refusal("json_schema", "it is no JSON object")
    if "x-guidance" in schema:
        raise refusal("json_schema", "x-guidance is no keyword of JSON schemas")


def _choice_rule(source: str) -> str:
    texts = _parsed("choice", source)
    if not isinstance(texts, list) or not texts:
        raise refusal("choice", "it names no texts")
    if not all(isinstance(text, str) and text for text in texts):
        raise refusal("choice", "each must be a string that is not empty")
    return "start: " + " | ".join(map(json.dumps, texts))


def _parsed(kind: GrammarKind, source: str) -> object:
    try:
        return json.loads(source)
    except (ValueError, RecursionError) as error:
        raise refusal(kind, f"it is not JSON: {error}") from None
