"""How the next token is chosen from the model's logits."""

from nanoaccel.runtime.sampling.grammar import Grammar, GrammarCompiler
from nanoaccel.runtime.sampling.params import (
    MAX_LOGPROBS,
    MAX_PROMPT_LOGPROBS,
    SamplingParams,
)
from nanoaccel.runtime.sampling.sampler import Sampled, Sampler
from nanoaccel.runtime.sampling.settings import SamplingSettings

__all__ = [
    "MAX_LOGPROBS",
    "MAX_PROMPT_LOGPROBS",
    "Grammar",
    "GrammarCompiler",
    "Sampled",
    "Sampler",
    "SamplingParams",
    "SamplingSettings",
]
