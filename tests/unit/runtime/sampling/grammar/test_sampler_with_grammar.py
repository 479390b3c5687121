"""A sampler that is held to a grammar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanoaccel import Grammar
from nanoaccel.runtime.sampling import GrammarCompiler, Sampled, Sampler, SamplingParams
from nanoaccel.text import Tokenizer

ROWS = 300


@pytest.fixture(scope="module")
def tokenizer(json_bundle: Path) -> Tokenizer:
    return Tokenizer.load(json_bundle)


@pytest.fixture(scope="module")
def compiler(tokenizer: Tokenizer) -> GrammarCompiler:
    return GrammarCompiler(tokenizer)


def make(compiler: GrammarCompiler, pattern: str, **options: object) -> Sampler:
    params = SamplingParams(grammar=Grammar.regex(pattern), **options)  # type: ignore[arg-type]
    assert params.grammar is not None
    grammar = compiler.compile(params.grammar)
    return Sampler(params, [], sorted(compiler._tokenizer.eos_token_ids), 1, ROWS, grammar)


def row(**liked: float) -> np.ndarray:
    """Logits of 0 but for some letters."""
    made = np.zeros(ROWS, np.float32)
    for letter, logit in liked.items():
        made[token(letter)] = logit
    return made


_letters: dict[str, int] = {}


def token(letter: str) -> int:
    return _letters[letter]


@pytest.fixture(scope="module", autouse=True)
def letters(tokenizer: Tokenizer) -> None:
    _letters.update({letter: tokenizer.encode(letter)[0] for letter in "abcxyz"})


def test_sampler_chooses_among_what_the_grammar_allows(compiler: GrammarCompiler) -> None:
    sampler = make(compiler, "[ab][xy]")
    # Another token is likelier, and known to be: that was before the grammar.
    logits = row(a=1, b=2, z=5)
    assert sampler.sample(logits, 0, likeliest=token("z")).token_id == token("b")
    sampler.accept(token("b"))
    assert sampler.sample(row(x=2, y=1), 1).token_id == token("x")


def test_sampler_follows_what_is_forced(compiler: GrammarCompiler) -> None:
    sampler = make(compiler, "a[xy]", logprobs=3)
    assert sampler.forced() == (token("a"),)
    assert sampler.sample(row(z=5), 0) == Sampled(token("a"), 0.0, ((token("a"), 0.0),))
    sampler.accept(token("a"))
    assert sampler.forced() == ()
    free = make(compiler, "a[xy]")
    assert free.certain(7) == Sampled(7)
    assert make(compiler, "a", logprobs=0).certain(7) == Sampled(7, 0.0, ())


def test_sampler_counts_drafts_that_are_allowed(compiler: GrammarCompiler) -> None:
    drafts = [token(letter) for letter in "xyza"]
    assert make(compiler, "[xyz]{3}").count_valid(drafts) == 3
    plain = Sampler(SamplingParams(), [], [], 1, ROWS)
    assert plain.count_valid(drafts) == 4
    assert plain.forced() == ()
    assert not plain.is_complete


def test_sampler_is_complete_where_only_the_end_may_follow(compiler: GrammarCompiler) -> None:
    sampler = make(compiler, "[ab]")
    assert not sampler.is_complete
    sampler.accept(token("a"))
    assert sampler.is_complete


def test_fork_of_a_sampler_goes_its_own_way(compiler: GrammarCompiler) -> None:
    sampler = make(compiler, "[ab]x|[ab]y", temperature=1.0, frequency_penalty=1.0)
    twin = sampler.fork(2)
    twin.accept(token("a"))
    assert twin.count_valid([token("x")]) == 1
    assert sampler.count_valid([token("x")]) == 0
    draws = [[one.sample(row(), place).token_id for place in range(8)] for one in (sampler, twin)]
    assert set(draws[0]) == {token("a"), token("b")}
    assert set(draws[1]) == {token("x"), token("y")}
    plain = Sampler(SamplingParams(temperature=1.0), [], [], 1, ROWS)
    texts = [
        [one.sample(row(), place).token_id for place in range(8)]
        for one in (plain, plain.fork(1), plain.fork(2))
    ]
    assert texts[0] == texts[1] != texts[2]


def test_log_probabilities_are_of_what_the_grammar_allows(compiler: GrammarCompiler) -> None:
    sampler = make(compiler, "[ab]x", logprobs=2, logit_bias={97: 0.0})
    sampled = sampler.sample(row(a=1, b=1, z=5), 0)
    assert sampled.logprob == pytest.approx(np.log(0.5))
    assert {found for found, _ in sampled.top} == {token("a"), token("b")}
