"""What every kind of grammar promises: it says one thing of a source, in a form of the library."""

from __future__ import annotations

from contextlib import suppress

import pytest

from nanoaccel.errors import SamplingError
from nanoaccel.registry import GRAMMARS
from nanoaccel.registry.extension_point import check
from nanoaccel.runtime.sampling.grammar import Grammar, GrammarKindFactory, Translation

CONTRACT = "grammar"
_ODD = ("", " ", "\x00", "[", "{", "((", "start:", "1", "null", "é" * 500, "a\nb", "\ud800")


class TestGrammar:
    """The suite; ``subject`` makes the kind, ``nanoaccel_reference`` is a source of it."""

    @pytest.fixture(autouse=True)
    def registered(self, subject: GrammarKindFactory, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(GRAMMARS, "make", lambda _: subject())

    def test_it_has_what_the_interface_says(self, subject: GrammarKindFactory) -> None:
        assert GRAMMARS.makes is not None
        check(subject, GRAMMARS.interface, ())
        check(subject(), GRAMMARS.makes, ())
        assert isinstance(subject().title, str)
        assert subject().title

    def test_translation_is_in_a_form_of_the_library(
        self, subject: GrammarKindFactory, nanoaccel_reference: str
    ) -> None:
        made = subject().translate(nanoaccel_reference)
        assert isinstance(made, Translation)
        assert made.form in ("json_schema", "regex", "lark")
        assert isinstance(made.text, str)

    def test_library_takes_the_grammar(self, nanoaccel_reference: str) -> None:
        pytest.importorskip("llguidance")
        Grammar(CONTRACT, nanoaccel_reference)

    def test_translation_is_the_same_again(
        self, subject: GrammarKindFactory, nanoaccel_reference: str
    ) -> None:
        kind = subject()
        expected = kind.translate(nanoaccel_reference)
        for odd in _ODD:
            try:
                kind.translate(odd)
            except ValueError:
                continue
        assert kind.translate(nanoaccel_reference) == expected, "it remembers other sources"
        assert subject().translate(nanoaccel_reference) == expected, "it is another one each time"

    @pytest.mark.parametrize("source", _ODD)
    def test_odd_source_is_translated_or_refused_in_words(self, source: str) -> None:
        pytest.importorskip("llguidance")
        with suppress(SamplingError):
            Grammar(CONTRACT, source)
