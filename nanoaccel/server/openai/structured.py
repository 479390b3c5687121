"""The grammar that an answer must follow, from the fields of a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from nanoaccel.registry import GRAMMARS, did_you_mean
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.sampling.grammar import Grammar
from nanoaccel.server.api_error import bad_request
from nanoaccel.server.http.fields import Fields

# As in vLLM's structured_outputs, and with its older names.
_KINDS: Mapping[str, Callable[[Any], Grammar]] = {
    "json": Grammar.json_schema,
    "regex": Grammar.regex,
    "choice": Grammar.choice,
    "grammar": Grammar.lark,
}
# Where llama.cpp's clients and huggingface_hub put the schema of a json_object.
_OBJECT_SCHEMAS = ("schema", "value")
_FORMATS = ("text", "json_object", "json_schema")
_FORMAT, _OUTPUTS = "response_format", "structured_outputs"


async def with_grammar(params: SamplingParams, fields: Fields) -> SamplingParams:
    """Add the grammar that a request asks for, if it asks for one.

    Making one may take seconds, so it happens in a thread.

    Raises:
        ApiError: Several are asked for, or one of an unknown kind.
        SamplingError: The grammar is wrong, or cannot be enforced.
        MissingExtraError: llguidance is not installed.
    """
    asked = _asked(fields)
    if not asked:
        return params
    if len(asked) > 1:
        names = " and ".join(name for name, _ in asked)
        raise bad_request(f"{names} are given together. Give one of them", asked[1][0])
    return replace(params, grammar=await asyncio.to_thread(asked[0][1]))


def _asked(fields: Fields) -> list[tuple[str, Callable[[], Grammar]]]:
    """The grammars that a request names, each with what makes it."""
    found: list[tuple[str, Callable[[], Grammar]]] = []
    form = _from_format(fields.typed(_FORMAT, dict, {}))
    if form is not None:
        found.append((_FORMAT, form))
    outputs = fields.typed(_OUTPUTS, dict, {})
    for kind, value in outputs.items():
        if kind not in _KINDS and kind not in plugged_grammars():
            known = ", ".join((*_KINDS, *plugged_grammars()))
            raise bad_request(f"{_OUTPUTS} knows no {kind!r}. It is one of {known}", _OUTPUTS)
        found.append((_OUTPUTS, _maker(kind, value)))
    for kind in (*_KINDS, *plugged_grammars()):
        value = fields.raw(f"guided_{kind}")
        if value is not None:
            found.append((f"guided_{kind}", _maker(kind, value)))
    return found


def _from_format(form: Mapping[str, Any]) -> Callable[[], Grammar] | None:
    kind = form.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        schemas = [form[name] for name in _OBJECT_SCHEMAS if form.get(name) is not None]
        return _maker("json", schemas[0]) if schemas else Grammar.json_object
    if kind in plugged_grammars():
        if form.get(kind) is None:
            raise bad_request(f"response_format of type {kind} needs a field {kind}", _FORMAT)
        return _maker(kind, form[kind])
    if kind not in _FORMATS:
        known = [*_FORMATS, *plugged_grammars()]
        remedy = did_you_mean(str(kind), known)
        raise bad_request(f"response_format knows no type {kind!r:.80}. {remedy}", _FORMAT)
    described = form.get("json_schema")
    schema = described.get("schema") if isinstance(described, Mapping) else None
    if kind != "json_schema" or schema is None:
        raise bad_request(
            "response_format must be text, json_object, or json_schema with a schema in "
            "json_schema.schema",
            _FORMAT,
        )
    return _maker("json", schema)


def _maker(kind: str, value: Any) -> Callable[[], Grammar]:
    make = _KINDS.get(kind)
    return lambda: Grammar.of(kind, value) if make is None else make(value)


def plugged_grammars() -> list[str]:
    """Names of the kinds of grammars that plugins bring."""
    return [name for name in GRAMMARS.names() if GRAMMARS.is_plugin(name)]
