"""Kinds of grammars: each is written in one of the three forms that the library reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, get_args

from nanoaccel.errors import ConfigError, SamplingError
from nanoaccel.registry import GRAMMARS

Form: TypeAlias = Literal["json_schema", "regex", "lark"]
# What the library says for a grammar of no text, and for what it leaves out of a message.
_NOTHING, _NO_DETAILS = "NoExtensionBias", "<non-verbose/>"


@dataclass(frozen=True, slots=True)
class Translation:
    """A grammar in a form that llguidance reads.

    Args:
        form: "json_schema", "regex" (Rust's syntax) or "lark".
        text: The grammar in that form.
    """

    form: Form
    text: str


class GrammarKind(Protocol):
    """A kind of grammar that a request can name."""

    @property
    def title(self) -> str:
        """Its name in messages, such as "JSON schema"."""
        ...

    def translate(self, source: str) -> Translation:
        """Write a grammar in one of the library's forms; the same source gives the same text.

        Args:
            source: What the user wrote, 64 KiB at most; a value that is no string comes as JSON.

        Raises:
            ValueError: It is none of this kind; the words are shown to who asked.
        """
        ...


class GrammarKindFactory(Protocol):
    """What is registered under the name of a kind: mostly its class."""

    def __call__(self) -> GrammarKind:
        """Make the kind."""
        ...


class JsonSchemas:
    """JSON schemas, as they are."""

    title = "JSON schema"

    def translate(self, source: str) -> Translation:
        """See ``GrammarKind``."""
        schema = _parsed(source)
        if not isinstance(schema, dict):
            raise ValueError("it is no JSON object")
        if "x-guidance" in schema:
            raise ValueError("x-guidance is no keyword of JSON schemas")
        return Translation("json_schema", source)


class RegularExpressions:
    """Regular expressions, as they are."""

    title = "regular expression"

    def translate(self, source: str) -> Translation:
        """See ``GrammarKind``."""
        return Translation("regex", source)


class Choices:
    """One of some texts: a JSON list of them."""

    title = "choice"

    def translate(self, source: str) -> Translation:
        """See ``GrammarKind``."""
        texts = _parsed(source)
        if not isinstance(texts, list) or not texts:
            raise ValueError("it names no texts")
        if not all(isinstance(text, str) and text for text in texts):
            raise ValueError("each must be a string that is not empty")
        return Translation("lark", "start: " + " | ".join(map(json.dumps, texts)))


class LarkGrammars:
    """Lark grammars, as they are."""

    title = "Lark grammar"

    def translate(self, source: str) -> Translation:
        """See ``GrammarKind``."""
        return Translation("lark", source)


def title_of(kind: str) -> str:
    """The name of a kind in messages.

    Raises:
        SamplingError: There is no such kind.
        PluginError: Its plugin cannot be used.
    """
    with GRAMMARS.named(kind):
        return str(_kind(kind).title)


def translated(kind: str, source: str) -> Translation:
    """A grammar in a form of the library.

    Raises:
        SamplingError: There is no such kind, or it refuses the source.
        PluginError: Its plugin cannot be used, or failed.
    """
    found = _kind(kind)
    with GRAMMARS.named(kind):
        try:
            made = found.translate(source)
        except RecursionError:
            raise refusal(kind, "it is nested too deeply") from None
        except ValueError as error:
            raise refusal(kind, str(error)) from None
        is_one = isinstance(made, Translation) and isinstance(made.text, str)
        if not is_one or made.form not in get_args(Form):
            raise TypeError(f"it gave {made!r:.80}, no Translation")
        return made


def refusal(kind: str, problem: str) -> SamplingError:
    """The error that says why a grammar cannot be used."""
    named = " ".join(problem.replace(_NO_DETAILS, "").split())
    if named == _NOTHING:
        named = "there is no text that follows it"
    return SamplingError(f"the {title_of(kind)} cannot be used: {named:.300}")


def _kind(name: str) -> GrammarKind:
    try:
        made: GrammarKind = GRAMMARS.make(name)
    except ConfigError as error:
        raise SamplingError(f"kind={name!r:.80} is unknown", error.remedy) from error
    return made


def _parsed(source: str) -> Any:
    try:
        return json.loads(source)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
