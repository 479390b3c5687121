"""Options of what an answer must look like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nanoaccel.cli.options.panels import in_sampling
from nanoaccel.cli.ui.prompt import decode_utf8
from nanoaccel.errors import ConfigError

if TYPE_CHECKING:
    from nanoaccel.runtime.sampling import Grammar


@dataclass(frozen=True, slots=True, kw_only=True)
class GrammarOptions:
    """One of several kinds of grammar, or none."""

    json_schema: Annotated[
        Path | None, in_sampling(metavar="FILE", help="JSON schema that the answer must follow.")
    ] = None
    flexible_whitespace: Annotated[
        bool,
        in_sampling(
            "--flexible-whitespace",
            help="Let JSON of a schema have spaces and line breaks; it takes more tokens.",
        ),
    ] = False
    regex: Annotated[
        str | None,
        in_sampling(metavar="PATTERN", help="Regular expression that the whole answer matches."),
    ] = None
    choice: Annotated[
        list[str] | None,
        in_sampling(metavar="TEXT", help="A text that may be the answer; may be repeated."),
    ] = None
    grammar_of: Annotated[
        str | None,
        in_sampling(
            "--grammar",
            metavar="KIND=TEXT|@FILE",
            help="A grammar of any kind: json_schema, regex, choice, lark, or a plugin's.",
        ),
    ] = None

    def grammar(self) -> Grammar | None:
        """The grammar.

        Raises:
            ConfigError: Two are given, the file cannot be read, or whitespace is given without it.
            SamplingError: It cannot be used.
            MissingExtraError: llguidance is not installed.
        """
        named = {
            "--json-schema": self.json_schema,
            "--regex": self.regex,
            "--choice": self.choice or None,
            "--grammar": self.grammar_of,
        }
        given = [name for name, value in named.items() if value is not None]
        if self.flexible_whitespace and self.json_schema is None:
            raise ConfigError(
                "--flexible-whitespace is given without --json-schema", "Leave it out"
            )
        if not given:
            return None
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} are both given", "Give one of them")

        from nanoaccel.runtime.sampling import Grammar

        if self.grammar_of is not None:
            kind, separator, text = self.grammar_of.partition("=")
            if not separator:
                raise ConfigError(
                    f"--grammar {self.grammar_of!r:.80} is not KIND=TEXT",
                    "Write it as lark=@FILE, or regex=[0-9]+",
                )
            return Grammar(kind, _read("--grammar", Path(text[1:])) if text[:1] == "@" else text)
        if self.json_schema is not None:
            return Grammar.json_schema(
                _read("--json-schema", self.json_schema),
                flexible_whitespace=self.flexible_whitespace,
            )
        if self.regex is not None:
            return Grammar.regex(self.regex)
        assert self.choice is not None
        return Grammar.choice(self.choice)


def _read(option: str, path: Path) -> str:
    try:
        return decode_utf8(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(
            f"{option} {path} cannot be read: {error.strerror}", "Name a file"
        ) from error
