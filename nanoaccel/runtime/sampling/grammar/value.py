"""What a text must look like, checked when it is made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nanoaccel.errors import SamplingError
from nanoaccel.runtime.sampling.grammar.spec import check_grammar
from nanoaccel.runtime.types.values import as_bool, as_text, items_of


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a text must look like; make it with ``json_schema``, ``regex``, ``choice`` or ``lark``.

    ``of`` makes one of any kind by its name, those of plugins included.

    It holds from the first token of the answer to its last: a text that ends by itself is one of
    the grammar. One that ``max_tokens``, a stop string, a stop token or a timeout cuts short is the
    beginning of one. What the library behind it, llguidance, cannot hold a text to is refused.

    Args:
        kind: What ``source`` is: "json_schema", "regex", "choice", "lark", or a plugin's name.
        source: The grammar as text, 64 KiB at most, 256 KiB of a Lark grammar; of a choice, a JSON
            list of strings.
        flexible_whitespace: Whether JSON may have whitespace between its parts; without, there is
            none, which takes fewer tokens.
        before: Lark grammar of what stands before; empty for nothing. See ``after``.

    Raises:
        SamplingError: It is too long, is no grammar, asks for what the library does not have, or
            takes too long to check.
        PluginError: The plugin that brings its kind cannot be used, or failed.
        MissingExtraError: llguidance is not installed.

    Examples:
        >>> from nanoaccel import Grammar
        >>> Grammar.json_schema({"enum": ["Bern", "Basel"]}).kind
        'json_schema'
        >>> Grammar.json_schema({"type": "string", "format": "of our own"})
        Traceback (most recent call last):
        nanoaccel.errors.SamplingError: the JSON schema cannot be used: Unknown format: of our own
    """

    kind: str
    source: str
    flexible_whitespace: bool = False
    before: str = ""

    def __post_init__(self) -> None:
        as_text("kind", self.kind, SamplingError)
        as_text("source", self.source, SamplingError)
        as_bool("flexible_whitespace", self.flexible_whitespace, SamplingError)
        as_text("before", self.before, SamplingError)
        check_grammar(self.kind, self.source, self.flexible_whitespace, self.before)

    @classmethod
    def of(cls, kind: str, value: object) -> Grammar:
        """A grammar of any kind.

        Args:
            kind: Its name, such as "regex", or that of a plugin's kind.
            value: The grammar: a string, or what becomes JSON.

        Raises:
            SamplingError: There is no such kind, or the value is none of it.
            PluginError: The plugin that brings the kind cannot be used, or failed.
            MissingExtraError: llguidance is not installed.

        Examples:
            >>> from nanoaccel import Grammar
            >>> Grammar.of("choice", ["yes", "no"]) == Grammar.choice(["yes", "no"])
            True
        """
        return cls(kind, value if isinstance(value, str) else _json(f"the {kind}", value))

    @classmethod
    def json_schema(
        cls, schema: Mapping[str, Any] | str, *, flexible_whitespace: bool = False
    ) -> Grammar:
        """JSON that a schema describes; members come in the order in which the schema names them.

        Args:
            schema: The schema, as an object or as text.
            flexible_whitespace: As in ``Grammar``.

        Raises:
            SamplingError: It is no schema, or has keywords that cannot be enforced.
            MissingExtraError: llguidance is not installed.

        Examples:
            >>> from nanoaccel import Grammar
            >>> Grammar.json_schema('{"type": "integer"}').source
            '{"type": "integer"}'
        """
        if isinstance(schema, str):
            return cls("json_schema", schema, flexible_whitespace)
        if not isinstance(schema, Mapping):
            raise SamplingError(
                f"a JSON schema of type {type(schema).__name__} cannot be used",
                "Give an object, or text that is one",
            )
        return cls("json_schema", _json("the JSON schema", schema), flexible_whitespace)

    @classmethod
    def json_object(cls, *, flexible_whitespace: bool = False) -> Grammar:
        """Any JSON object.

        Examples:
            >>> from nanoaccel import Grammar
            >>> Grammar.json_object().kind
            'json_schema'
        """
        return cls.json_schema({"type": "object"}, flexible_whitespace=flexible_whitespace)

    @classmethod
    def regex(cls, pattern: str) -> Grammar:
        """A text that a regular expression matches as a whole, in the syntax of Rust's regex.

        Raises:
            SamplingError: It is none, or looks around.
            MissingExtraError: llguidance is not installed.

        Examples:
            >>> from nanoaccel import Grammar
            >>> Grammar.regex("[0-9]{4}-[0-9]{2}").kind
            'regex'
        """
        return cls("regex", pattern)

    @classmethod
    def choice(cls, texts: Iterable[str]) -> Grammar:
        """One of some texts.

        Raises:
            SamplingError: There is none, or one is empty or no text.
            MissingExtraError: llguidance is not installed.

        Examples:
            >>> from nanoaccel import Grammar
            >>> Grammar.choice(["yes", "no"]).source
            '["yes", "no"]'
        """
        found = items_of("choice", texts, SamplingError)
        return cls("choice", _json("the choice", found))

    @classmethod
    def lark(cls, text: str) -> Grammar:
        """A text that a grammar in Lark's notation, a kind of EBNF, derives from ``start``.

        Raises:
            SamplingError: It is no grammar.
            MissingExtraError: llguidance is not installed.

        Examples:
            >>> from nanoaccel import Grammar
            >>> Grammar.lark('start: "a" start | "b"').kind
            'lark'
        """
        return cls("lark", text)

    def after(self, lark: str) -> Grammar:
        """This grammar behind something else, such as the thoughts of a model that thinks first.

        Args:
            lark: Grammar of what stands before, in Lark's notation; whatever it was before.

        Raises:
            SamplingError: It is no grammar.
            MissingExtraError: llguidance is not installed.

        Examples:
            >>> from nanoaccel import Grammar
            >>> thoughts = 'start: THOUGHT "</think>"\\nTHOUGHT: /[^<]*/'
            >>> Grammar.choice(["yes", "no"]).after(thoughts).source
            '["yes", "no"]'
        """
        return replace(self, before=lark)


def _json(name: str, value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SamplingError(f"{name} is not JSON: {error}") from None
