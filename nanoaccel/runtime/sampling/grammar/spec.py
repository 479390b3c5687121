"""A grammar in the words of llguidance, and what of it is refused."""

from __future__ import annotations

import json

from nanoaccel.errors import SamplingError
from nanoaccel.runtime.sampling.grammar.formats import exact_formats, exact_formats_within
from nanoaccel.runtime.sampling.grammar.kinds import Translation, refusal, title_of, translated
from nanoaccel.runtime.sampling.grammar.library import bounded, limits, llguidance
from nanoaccel.runtime.sampling.grammar.multiples import check_multiples, schemas_within

MAX_BYTES = 64 << 10
# A Lark grammar may hold the schemas of many tools.
MAX_LARK_BYTES = 256 << 10

# Nothing is passed over, and nothing is taken for something similar.
_STRICT = {"lenient": False, "coerce_one_of": False, "item_separator": ",", "key_separator": ":"}

# What the library says of special tokens before it knows which there are.
_UNKNOWN_YET = "no tokenizer"


def check_grammar(kind: str, source: str, flexible_whitespace: bool, before: str = "") -> None:
    """Refuse what can be refused without a tokenizer.

    Args:
        kind: What ``source`` is.
        source: The grammar.
        flexible_whitespace: Whether JSON may have whitespace between its parts.
        before: Lark grammar of what stands before; empty for nothing.

    Raises:
        SamplingError: It is too long, is no grammar, asks for what the library does not have, or
            takes too long to check.
        PluginError: The plugin that brings its kind failed.
        MissingExtraError: llguidance is not installed.
    """
    _check_size(kind, source, MAX_LARK_BYTES if kind == "lark" else MAX_BYTES)
    _check_size("lark", before, MAX_LARK_BYTES)
    made = translated(kind, source)
    _check_size(kind, made.text, MAX_LARK_BYTES if made.form == "lark" else MAX_BYTES)
    spec = _spec(kind, made, flexible_whitespace, before)
    if made.form == "json_schema":
        check_multiples(json.loads(made.text))
    for lark in (before, made.text if made.form == "lark" else ""):
        for schema in schemas_within(lark):
            check_multiples(schema)
    check = llguidance().LLMatcher.validate_grammar_with_warnings
    _, told = bounded(lambda: check(spec, limits=limits()))
    problems = [line for line in told if not line.startswith(_UNKNOWN_YET)]
    if problems:
        raise refusal(kind, problems[0])


def library_spec(kind: str, source: str, flexible_whitespace: bool, before: str = "") -> str:
    """The grammar as llguidance reads it.

    Raises:
        SamplingError: The source is none of its kind, or nested too deeply.
        PluginError: The plugin that brings its kind failed.
    """
    return _spec(kind, translated(kind, source), flexible_whitespace, before)


def _spec(kind: str, made: Translation, flexible_whitespace: bool, before: str) -> str:
    try:
        spec = _library_spec(_with_exact_formats(made), flexible_whitespace)
        return _behind(before, spec) if before else spec
    except RecursionError:
        raise refusal(kind, "it is nested too deeply") from None
    except SamplingError:
        raise
    except ValueError as error:  # what the library says of its own limits
        raise refusal(kind, str(error)) from None


def _with_exact_formats(made: Translation) -> Translation:
    if made.form == "json_schema":
        return Translation(made.form, json.dumps(exact_formats(json.loads(made.text))))
    if made.form == "lark":
        return Translation(made.form, exact_formats_within(made.text))
    return made


def _library_spec(grammar: Translation, flexible_whitespace: bool) -> str:
    matcher = llguidance().LLMatcher
    made: str
    if grammar.form == "json_schema":
        overrides = {**_STRICT, "whitespace_flexible": flexible_whitespace}
        made = matcher.grammar_from_json_schema(grammar.text, overrides=overrides)
    elif grammar.form == "regex":
        made = matcher.grammar_from_regex(grammar.text)
    else:
        made = matcher.grammar_from_lark(grammar.text)
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


def _check_size(kind: str, source: str, most: int) -> None:
    try:
        size = len(source.encode())
    except UnicodeEncodeError as error:
        raise refusal(kind, f"character {error.start} is a lone surrogate") from None
    if size > most:
        raise SamplingError(
            f"the {title_of(kind)} has {size:,} bytes", f"It may have {most:,} at most"
        )
