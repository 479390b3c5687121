"""Texts that must follow a grammar: what a user asks for, and the masks that see to it."""

from nanoaccel.runtime.sampling.grammar.compiler import CompiledGrammar, GrammarCompiler
from nanoaccel.runtime.sampling.grammar.kinds import (
    GrammarKind,
    GrammarKindFactory,
    Translation,
)
from nanoaccel.runtime.sampling.grammar.mask import GrammarMask
from nanoaccel.runtime.sampling.grammar.value import Grammar

__all__ = [
    "CompiledGrammar",
    "Grammar",
    "GrammarCompiler",
    "GrammarKind",
    "GrammarKindFactory",
    "GrammarMask",
    "Translation",
]
