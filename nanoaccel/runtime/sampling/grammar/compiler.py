"""Grammars made ready for one model's tokens."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nanoaccel.errors import SamplingError
from nanoaccel.runtime.sampling.grammar.kinds import refusal
from nanoaccel.runtime.sampling.grammar.library import bounded, limits, llguidance
from nanoaccel.runtime.sampling.grammar.library_tokens import library_tokenizer
from nanoaccel.runtime.sampling.grammar.mask import GrammarMask
from nanoaccel.runtime.sampling.grammar.spec import library_spec
from nanoaccel.runtime.sampling.grammar.value import Grammar
from nanoaccel.text import Tokenizer

_KEPT = 64


@dataclass(frozen=True, slots=True)
class CompiledGrammar:
    """A grammar over the tokens of one model; it is not changed by what follows it.

    Args:
        matcher: The library's parser before the first token.
        num_tokens: Tokens that the tokenizer has.
        eos_ids: Tokens that end a text by themselves.
    """

    matcher: Any
    num_tokens: int
    eos_ids: tuple[int, ...]

    def begin(self, end_ids: Sequence[int], vocab_size: int) -> GrammarMask:
        """What holds one text to it.

        Args:
            end_ids: Tokens that end this text.
            vocab_size: Length V of a row of logits.
        """
        ignored = set(self.eos_ids) - set(end_ids)
        return GrammarMask(
            self.matcher.deep_copy(),
            end_ids=end_ids,
            ignored_ids=sorted(token for token in ignored if token < vocab_size),
            num_tokens=min(vocab_size, self.num_tokens),
        )


class GrammarCompiler:
    """Compiles grammars for a tokenizer, and keeps the latest. Any thread may call it.

    The first one takes longer, half a second to two: the library reads the tokenizer.

    Args:
        tokenizer: The model's.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        self._library_tokenizer: Any = None
        self._reading = threading.Lock()
        self._kept: OrderedDict[Grammar, CompiledGrammar] = OrderedDict()

    def compile(self, grammar: Grammar) -> CompiledGrammar:
        """Make a grammar ready.

        Raises:
            SamplingError: The library refuses it, or it takes too long; or it cannot be used with
                tokens of this kind.
            MissingExtraError: llguidance is not installed.
        """
        with self._lock:
            found = self._kept.get(grammar)
            if found is not None:
                self._kept.move_to_end(grammar)
                return found
        tokenizer = self._read_tokenizer()
        spec = library_spec(
            grammar.kind, grammar.source, grammar.flexible_whitespace, grammar.before
        )
        matcher = bounded(lambda: _matcher(tokenizer, spec))
        if matcher.is_error():
            raise refusal(grammar.kind, matcher.get_error())
        if warnings := matcher.get_grammar_warnings():
            raise refusal(grammar.kind, warnings[0])
        compiled = CompiledGrammar(matcher, tokenizer.vocab_size, tuple(tokenizer.eos_tokens))
        with self._lock:
            self._kept[grammar] = compiled
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return compiled

    def _read_tokenizer(self) -> Any:
        with self._reading:
            if self._library_tokenizer is None:
                try:
                    self._library_tokenizer = library_tokenizer(self._tokenizer)
                except ValueError as error:
                    raise SamplingError(
                        f"grammar does not go with the tokenizer of this model: {error}",
                        "Leave it out; grammars need tokens that are bytes or pieces of UTF-8",
                    ) from error
            return self._library_tokenizer


def _matcher(tokenizer: Any, spec: str) -> Any:
    """A parser that has made its first mask, which takes the longest and finds what has no text.

    A copy has followed the tokens that are forced at the start: where the library gives up after
    the first thousands of them, this is the one that says so.
    """
    made = llguidance().LLMatcher(tokenizer, spec, log_level=0, limits=limits())
    if not made.is_error():
        made.compute_bitmask()
        ahead = made.deep_copy()
        ahead.consume_tokens(ahead.compute_ff_tokens())
        if ahead.is_error():
            return ahead
    return made
