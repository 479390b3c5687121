from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.grammar_llms import write_bundle

from nanoaccel import Grammar
from nanoaccel.errors import GenerationError, SamplingError
from nanoaccel.runtime.sampling.grammar import GrammarCompiler, GrammarMask, compiler
from nanoaccel.runtime.sampling.grammar.library_tokens import _TextTokens
from nanoaccel.testing.engines import letter_tokenizer
from nanoaccel.text import Tokenizer

ROWS = 300


@pytest.fixture(scope="module")
def tokenizer(json_bundle: Path) -> Tokenizer:
    return Tokenizer.load(json_bundle)


def begin(tokenizer: Tokenizer, grammar: Grammar, *, vocab_size: int = ROWS) -> GrammarMask:
    ends = sorted(token for token in tokenizer.eos_token_ids if token < vocab_size)
    return GrammarCompiler(tokenizer).compile(grammar).begin(ends, vocab_size)


def allowed(tokenizer: Tokenizer, mask: GrammarMask, size: int = ROWS) -> set[str]:
    """What may come next, as text; the end is empty."""
    row = np.zeros(size, np.float32)
    mask.apply(row, 0)
    return {tokenizer.decode([token]) for token in np.isfinite(row).nonzero()[0].tolist()}


def test_compiler_reads_the_tokenizer_once_and_keeps_the_latest(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "_KEPT", 2)
    made = GrammarCompiler(tokenizer)
    grammars = [Grammar.regex(text) for text in ("a", "b", "c")]
    first = [made.compile(grammar) for grammar in grammars]
    library_tokenizer = made._library_tokenizer
    assert made.compile(grammars[2]) is first[2]
    assert made.compile(grammars[0]) is not first[0]
    assert len(made._kept) == 2
    assert made._library_tokenizer is library_tokenizer


def test_tokens_that_are_no_pieces_of_text_are_refused(tmp_path: Path) -> None:
    made = GrammarCompiler(letter_tokenizer(tmp_path))
    with pytest.raises(SamplingError, match="tokenizer of this model"):
        made.compile(Grammar.regex("a"))


def test_grammar_of_no_text_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(
        SamplingError, match="JSON schema cannot be used: there is no text that follows it"
    ):
        begin(tokenizer, Grammar.json_schema({"$ref": "#"}))


def test_special_tokens_stand_in_a_grammar_if_the_tokenizer_has_them(tokenizer: Tokenizer) -> None:
    mask = begin(tokenizer, Grammar.lark('start: "a" <mark> "b"'))
    written = [token for _ in range(3) for token in mask.forced()[:1] if not mask.accept(token)]
    assert tokenizer.decode(written, skip_special_tokens=False) == "a<mark>b"
    with pytest.raises(SamplingError, match="other"):
        begin(tokenizer, Grammar.lark('start: "a" <other> "b"'))


def test_mask_allows_what_the_grammar_does(tokenizer: Tokenizer) -> None:
    mask = begin(tokenizer, Grammar.regex("[ab]{2}|abc"))
    assert allowed(tokenizer, mask) == {"a", "b", "ab", "abc"}
    mask.accept(tokenizer.encode("ab")[0])
    assert allowed(tokenizer, mask) == {"c", ""}
    twin = mask.copy()
    twin.accept(tokenizer.encode("c")[0])
    assert (twin.is_complete, mask.is_complete) == (True, False)
    assert allowed(tokenizer, mask) == {"c", ""}


def test_mask_of_fewer_rows_than_tokens_stays_within_them(tokenizer: Tokenizer) -> None:
    few = max(tokenizer.encode("abc"), default=0)
    mask = begin(tokenizer, Grammar.regex("abc|b"), vocab_size=few)
    assert "abc" not in allowed(tokenizer, mask, few)


def test_forced_tokens_are_those_that_the_tokenizer_writes(tokenizer: Tokenizer) -> None:
    mask = begin(tokenizer, Grammar.json_schema({"const": {"name": 10}}))
    text = ""
    while not mask.is_complete:
        token = mask.forced()[0]
        text += tokenizer.decode([token])
        mask.accept(token)
    assert text == '{"name":10}'
    assert mask.forced() == ()


@pytest.mark.parametrize("text", ["<eos>", "a<eos>b<mark>", "<<mark><eos>", "é<eos"])
def test_text_that_spells_special_tokens_is_written_with_others(
    text: str, tokenizer: Tokenizer
) -> None:
    special = {tokenizer.added_tokens[name] for name in ("<eos>", "<mark>")}
    mask = begin(tokenizer, Grammar.choice([text]))
    written = mask.forced()
    assert not special & set(written)
    assert tokenizer.decode(list(written)) == text
    row = np.zeros(ROWS, np.float32)
    mask.apply(row, 0)
    assert not special & set(np.isfinite(row).nonzero()[0].tolist())


def test_special_tokens_of_two_characters_are_cut_too(tmp_path: Path) -> None:
    special = Tokenizer.load(write_bundle(tmp_path, marks=["[]"]))
    written = begin(special, Grammar.choice(["a[]b"])).forced()
    assert special.added_tokens["[]"] not in written
    assert special.decode(list(written)) == "a[]b"


def test_text_without_special_tokens_is_written_as_the_tokenizer_does(
    tokenizer: Tokenizer,
) -> None:
    text = '{"name":10}'
    plain = GrammarCompiler(tokenizer)._read_tokenizer()
    assert _TextTokens(plain, {})(text) == tokenizer.encode(text)


def test_drafts_count_up_to_the_first_that_is_not_allowed(tokenizer: Tokenizer) -> None:
    mask = begin(tokenizer, Grammar.regex("[a-z]+"))
    good, bad = tokenizer.encode("xyz"), tokenizer.encode("!")
    assert mask.count_valid([*good, *bad, *good]) == 3
    assert mask.count_valid([]) == 0
    assert mask.count_valid([ROWS - 1]) == 0
    assert mask.count_valid(good) == 3


def test_token_that_is_not_allowed_is_an_error_of_the_request(tokenizer: Tokenizer) -> None:
    mask = begin(tokenizer, Grammar.regex("[a-z]+"))
    with pytest.raises(GenerationError, match="grammar"):
        mask.accept(tokenizer.encode("!")[0])
