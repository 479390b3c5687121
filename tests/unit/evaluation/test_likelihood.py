"""Likelihoods of continuations, against the rule behind the fake backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.fake_llms import CONTEXT, write_bundle

from nanoaccel import registry
from nanoaccel.bundle import Bundle
from nanoaccel.calibration.metrics import log_softmax
from nanoaccel.evaluation import BundleLogits
from nanoaccel.evaluation.likelihood import Continuation, score
from nanoaccel.runtime.backends.fake import FakeBackend, hashed
from nanoaccel.testing.engines import VOCAB_SIZE

_rule = hashed(VOCAB_SIZE)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Prefixes whose logits were computed."""
    seen: list[tuple[int, ...]] = []

    def rule(tokens):  # type: ignore[no-untyped-def]
        seen.append(tuple(tokens))
        return _rule(tokens)

    monkeypatch.setattr(
        registry.BACKENDS, "resolve", lambda _: lambda _: FakeBackend(rule, VOCAB_SIZE)
    )
    return seen


@pytest.fixture
def logits(reads: object, tmp_path: Path) -> Iterator[BundleLogits]:  # noqa: ARG001
    with BundleLogits(Bundle.open(write_bundle(tmp_path / "b")), length=CONTEXT) as opened:
        yield opened


def _ignore(_: float) -> None:
    """Progress."""


def _expected(asked: Continuation) -> float:
    known, total = list(asked.context), 0.0
    for token in asked.tokens:
        total += float(log_softmax(_rule(known))[token])
        known.append(token)
    return total


def _greedy(context: tuple[int, ...], count: int) -> tuple[int, ...]:
    known = list(context)
    for _ in range(count):
        known.append(int(_rule(known).argmax()))
    return tuple(known[len(context) :])


def test_score_adds_the_log_probabilities_of_tokens(logits: BundleLogits) -> None:
    chance = np.random.default_rng(0)
    asked = [
        Continuation(
            tuple(chance.integers(0, VOCAB_SIZE, context).tolist()),
            tuple(chance.integers(0, VOCAB_SIZE, tokens).tolist()),
        )
        for context, tokens in [(5, 1), (30, 8), (1, 1), (9, 3), (1, CONTEXT - 1), (30, 2)]
    ]
    found = [one.log_probability for one in score(logits, asked, _ignore)]
    assert found == pytest.approx([_expected(one) for one in asked], rel=1e-5)


def test_score_tells_greedy_continuations(logits: BundleLogits) -> None:
    context = (3, 1, 4)
    best = _greedy(context, 5)
    wrong = (*best[:2], (best[2] + 1) % VOCAB_SIZE, *best[3:])
    found = score(logits, [Continuation(context, best), Continuation(context, wrong)], _ignore)
    assert [one.greedy for one in found] == [True, False]


def test_answers_of_one_token_are_computed_together(
    logits: BundleLogits, reads: list[tuple[int, ...]]
) -> None:
    asked = [Continuation((7, 8, 9), (answer,)) for answer in range(4)]
    found = [one.log_probability for one in score(logits, asked, _ignore)]
    assert reads == [(7, 8, 9)]
    assert found == pytest.approx([_expected(one) for one in asked], rel=1e-5)


def test_the_same_text_cut_in_two_ways_is_computed_once(
    logits: BundleLogits, reads: list[tuple[int, ...]]
) -> None:
    asked = [Continuation((1, 2, 3), (4,)), Continuation((1,), (2, 3, 4))]
    found = [one.log_probability for one in score(logits, asked, _ignore)]
    assert reads == [(1,), (1, 2), (1, 2, 3)]
    assert found == pytest.approx([_expected(one) for one in asked], rel=1e-5)


def test_nothing_is_certain_to_follow(logits: BundleLogits) -> None:
    (found,) = score(logits, [Continuation((1, 2), ())], _ignore)
    assert (found.log_probability, found.greedy) == (0.0, True)


def test_score_tells_how_far_it_is(logits: BundleLogits) -> None:
    told: list[float] = []
    score(logits, [Continuation((1,), (2,)), Continuation((2,), (3,))], told.append)
    assert told == [0.5, 1.0]


@pytest.mark.parametrize(
    ("context", "tokens", "expected"),
    [
        ((1, 2), (3, 4), ((1, 2), (3, 4))),
        ((0, 1, 2), (3, 4), ((1, 2), (3, 4))),
        ((0,), (1, 2, 3, 4, 5), ((2,), (3, 4, 5))),
        ((0, 1, 2, 3), (), ((1, 2, 3), ())),
    ],
)
def test_within_keeps_what_stands_last(
    context: tuple[int, ...], tokens: tuple[int, ...], expected: tuple[tuple[int, ...], ...]
) -> None:
    found = Continuation(context, tokens).within(3)
    assert (found.context, found.tokens) == expected
    assert len(found.read) == 3
