"""Sampled texts have exactly the probabilities that the model gives them, whatever is guessed.

Many requests with different seeds write four tokens each. How often each text comes out is compared
with its probability, which is computed here, without the engine's sampler, by enumeration.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import cast

import numpy as np
import pytest

from nanoaccel.runtime.backends.fake import FakeBackend, hashed
from nanoaccel.runtime.engine.engine import Engine
from nanoaccel.runtime.execution.pass_time import PassTimeModel
from nanoaccel.runtime.execution.runner import ModelRunner
from nanoaccel.runtime.kv import PagedCache
from nanoaccel.runtime.sampling import Sampled, SamplingParams, SamplingSettings
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.scheduling.scheduled_tokens import ScheduledTokens
from nanoaccel.runtime.scheduling.scheduler import Scheduler
from nanoaccel.runtime.scheduling.token_budget import StepBudget
from nanoaccel.runtime.speculation import Speculator
from nanoaccel.runtime.speculation.drafters import Draft, Drafter, DrafterOptions
from nanoaccel.runtime.speculation.drafters.ngram import NgramDrafter
from nanoaccel.runtime.types.plan import Float32Array
from nanoaccel.testing.drafters import Always, Guesser, random_tokens, same
from nanoaccel.text import Tokenizer

VOCAB_SIZE = 5
LENGTH = 4
PROMPT = (0, 1, 0)
SAMPLES = 500
BATCH = 100
# A right engine fails with a probability of about one in ten thousand, for other seeds.
Z = 3.72

Text = tuple[int, ...]
Accepts = Callable[[float, int], bool]


@cache
def logits_after(tokens: Text) -> Float32Array:
    return hashed(VOCAB_SIZE, 1.5)(tokens)


def rule(tokens: Sequence[int]) -> Float32Array:
    """Logits that depend on all tokens."""
    return logits_after(tuple(tokens))


def likeliest(draft: Draft) -> list[int]:
    """What greedy decoding would write."""
    text: list[int] = draft.tokens.tolist()
    for _ in range(draft.limit):
        text.append(int(rule(text).argmax()))
    return text[len(draft.tokens) :]


def mixed(seed: int) -> Callable[[Draft], list[int]]:
    """What greedy decoding would write, with some tokens changed."""
    random = Random(seed)
    return lambda draft: [
        token if random.random() < 0.8 else random.randrange(VOCAB_SIZE)
        for token in likeliest(draft)
    ]


def drafter_named(name: str) -> Drafter | None:
    made: dict[str, Drafter | None] = {
        "none": None,
        "ngram": cast(
            Drafter, NgramDrafter(DrafterOptions(vocab_size=VOCAB_SIZE, corpus_tokens=600))
        ),
        "same": Guesser(same(2)),
        "random": Guesser(random_tokens(VOCAB_SIZE, 7)),
        "likeliest": Guesser(likeliest),
        "mixed": Guesser(mixed(9)),
    }
    return made[name]


@dataclass(frozen=True)
class Case:
    """How to sample, and who guesses."""

    drafter: str
    params: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.drafter, *(f"{key}={self.params[key]}" for key in self.params)])


def params_of(case: Case) -> SamplingParams:
    asked = SamplingParams(**case.params, ignore_eos=True)  # type: ignore[arg-type]
    return SamplingSettings().complete(asked)


def probabilities(params: SamplingParams, written: Text) -> list[float]:
    """Of each next token after the prompt and what was written."""
    logits = [float(logit) for logit in logits_after(PROMPT + written)]
    for token in range(VOCAB_SIZE):
        if token in PROMPT + written:
            positive = logits[token] > 0
            factor = 1 / params.repetition_penalty if positive else params.repetition_penalty
            logits[token] *= factor
        if token in written:
            logits[token] -= params.presence_penalty
            logits[token] -= params.frequency_penalty * written.count(token)
    weights = [math.exp(logit / params.temperature) for logit in logits]
    ranked = sorted(range(VOCAB_SIZE), key=lambda token: -weights[token])
    if params.top_k > 0:
        ranked = ranked[: params.top_k]
    total = sum(weights[token] for token in ranked)
    kept: list[int] = []
    while sum(weights[token] for token in kept) < params.top_p * total and len(kept) < len(ranked):
        kept.append(ranked[len(kept)])
    kept = [token for token in kept if weights[token] >= params.min_p * weights[ranked[0]]]
    mass = sum(weights[token] for token in kept)
    return [weights[token] / mass if token in kept else 0.0 for token in range(VOCAB_SIZE)]


def enumerate_texts(params: SamplingParams) -> dict[Text, float]:
    """The probability of each text that can be written."""
    texts: dict[Text, float] = {(): 1.0}
    for _ in range(LENGTH):
        longer: dict[Text, float] = {}
        for text, chance in texts.items():
            for token, share in enumerate(probabilities(params, text)):
                if share > 0:
                    key = (*text, token)
                    longer[key] = chance * share
        texts = longer
    return texts


class LossyRequest(Request):
    """Samples by a wrong rule: takes a draft token for what its probability and place are.

    Attributes:
        accepts: The rule.
        drafts: Draft tokens of this step.
        row: Rows of logits of this step that were sampled from.
    """

    accepts: Accepts
    drafts: Sequence[int] = ()
    row = 0

    def sample(self, row: Float32Array, likeliest: int | None = None) -> Sampled:
        place, self.row = self.row, self.row + 1
        if place < len(self.drafts):
            token, weights = self.drafts[place], np.exp(row - row.max())
            if self.accepts(weights[token] / weights.sum(), place):
                return Sampled(token)
        return super().sample(row, likeliest)


class TellingSpeculator(Speculator):
    """Tells lossy requests their draft tokens."""

    def extend(
        self, chunks: list[ScheduledTokens], has_room: Callable[[Request, int], bool]
    ) -> list[ScheduledTokens]:
        extended = super().extend(chunks, has_room)
        for chunk in extended:
            if isinstance(chunk.request, LossyRequest):
                chunk.request.drafts, chunk.request.row = chunk.drafts, 0
        return extended


def write_texts(
    tokenizer: Tokenizer, case: Case, accepts: Accepts | None = None
) -> tuple[Counter[Text], int]:
    """How often each text was written, and how many guesses were checked for that.

    Args:
        tokenizer: Of letters.
        case: How.
        accepts: A wrong rule to sample by.
    """
    first_seed = SAMPLES * CASES.index(case)
    backend = FakeBackend(rule, VOCAB_SIZE)
    num_blocks = 4 * BATCH
    backend.allocate_cache(num_blocks)
    cache, times = PagedCache(num_blocks, backend.info.block_size), PassTimeModel()
    budget = StepBudget(times.step, max_tokens=10 * BATCH, target=None)
    scheduler = Scheduler(
        cache,
        budget=budget,
        max_running=BATCH,
        max_waiting=SAMPLES,
        clock=lambda: 0.0,
        share_prefixes=False,
    )
    drafter = drafter_named(case.drafter)
    num_drafts = TellingSpeculator(
        [] if drafter is None else [drafter],
        Always(),
        vocab_size=VOCAB_SIZE,
        max_tokens=10 * BATCH,
    )
    runner = ModelRunner(backend, cache, times, budget)
    engine = Engine(runner, scheduler, num_drafts, emit=lambda _: None, clock=lambda: 0.0)
    params = params_of(case)
    requests = [
        (Request if accepts is None else LossyRequest)(
            number,
            PROMPT,
            params,
            max_tokens=LENGTH,
            tokenizer=tokenizer,
            vocab_size=VOCAB_SIZE,
            seed=first_seed + number,
            index=0,
        )
        for number in range(SAMPLES)
    ]
    for request in requests:
        if isinstance(request, LossyRequest):
            assert accepts is not None
            request.accepts = accepts
    engine.add(requests)
    while engine.has_work:
        engine.step()
    engine.check_integrity()
    start, end = len(PROMPT), len(PROMPT) + LENGTH
    found = Counter(tuple(request.tokens(start, end).tolist()) for request in requests)
    return found, engine.counters().speculation.drafted_tokens


def chi_square(found: Counter[Text], expected: dict[Text, float]) -> tuple[float, int]:
    """Pearson's statistic and its degrees of freedom; rare texts are counted together."""
    assert set(found) <= set(expected), "a text that cannot be written"
    total = sum(found.values())
    statistic, cells, rare_found, rare_expected = 0.0, 0, 0, 0.0
    for text, chance in sorted(expected.items(), key=lambda entry: entry[1]):
        rare_found += found[text]
        rare_expected += chance * total
        if rare_expected >= 8:
            statistic += (rare_found - rare_expected) ** 2 / rare_expected
            cells, rare_found, rare_expected = cells + 1, 0, 0.0
    assert rare_expected == 0, "the likeliest text ends a cell"
    return statistic, cells - 1


def critical_value(freedom: int) -> float:
    """What chi square exceeds by chance hardly ever (Wilson and Hilferty 1931)."""
    ninth = 2 / (9 * freedom)
    return freedom * (1 - ninth + Z * math.sqrt(ninth)) ** 3


CASES = (
    Case("none", {"temperature": 1.0}),
    Case("ngram", {"temperature": 1.0}),
    Case("same", {"temperature": 1.0}),
    Case("random", {"temperature": 1.0}),
    Case("likeliest", {"temperature": 1.0}),
    Case("mixed", {"temperature": 1.0}),
    Case("likeliest", {"temperature": 0.5}),
    Case("likeliest", {"temperature": 2.0}),
    Case("mixed", {"temperature": 0.7, "top_k": 3}),
    Case("ngram", {"temperature": 1.3, "top_k": 2}),
    Case("same", {"temperature": 1.0, "top_p": 0.8}),
    Case("likeliest", {"temperature": 0.8, "top_p": 0.9}),
    Case("random", {"temperature": 1.0, "min_p": 0.1}),
    Case("mixed", {"temperature": 1.5, "top_k": 4, "top_p": 0.85}),
    Case("likeliest", {"temperature": 1.0, "presence_penalty": 1.0}),
    Case("ngram", {"temperature": 1.0, "frequency_penalty": 0.7}),
    Case("same", {"temperature": 0.9, "frequency_penalty": -0.8}),
    Case("likeliest", {"temperature": 1.0, "repetition_penalty": 1.5}),
    Case("mixed", {"temperature": 1.0, "repetition_penalty": 0.7, "top_p": 0.95}),
    Case("random", {"temperature": 1.2, "presence_penalty": -0.5, "min_p": 0.05}),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_engine_samples_from_the_distribution_of_the_model(
    tokenizer: Tokenizer, case: Case
) -> None:
    expected = enumerate_texts(params_of(case))
    assert sum(expected.values()) == pytest.approx(1)
    found, checked = write_texts(tokenizer, case)
    assert (checked > SAMPLES // 2) == (case.drafter != "none")
    statistic, freedom = chi_square(found, expected)
    assert freedom >= 10
    assert statistic < critical_value(freedom)


@pytest.mark.parametrize("name", ["same", "likeliest"])
@pytest.mark.parametrize("rule_name", ["likely", "first"])
def test_chi_square_notices_a_wrong_rule(tokenizer: Tokenizer, name: str, rule_name: str) -> None:
    wrong: dict[str, Accepts] = {
        "likely": lambda chance, _: chance > 0.2,
        "first": lambda _, place: place == 0,
    }
    case = Case(name, {"temperature": 1.0})
    found, _ = write_texts(tokenizer, case, wrong[rule_name])
    statistic, freedom = chi_square(found, enumerate_texts(params_of(case)))
    assert statistic > 2 * critical_value(freedom)


@pytest.mark.parametrize(("freedom", "value"), [(10, 35.56), (30, 67.63), (50, 95.97)])
def test_critical_value_is_that_of_tables(freedom: int, value: float) -> None:
    assert value < critical_value(freedom) < 1.02 * value
