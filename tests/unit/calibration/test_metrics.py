"""Perplexity, divergence and agreement against cases that can be computed by hand."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray

from nanoaccel.calibration.metrics import Fidelity, FidelityMeter, PerplexityMeter, log_softmax

WORDS = 11


def _measure(
    logits: NDArray[np.float32],
    reference: NDArray[np.float32],
    tokens: NDArray[np.int64],
    rows: int = 64,
) -> Fidelity:
    meter = FidelityMeter(rows)
    meter.add(logits, reference, tokens)
    return meter.result("a text")


def _random(length: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    chance = np.random.default_rng(seed)
    logits = chance.normal(0, 2, (length, WORDS)).astype(np.float32)
    return logits, chance.integers(0, WORDS, length)


def test_fidelity_matches_a_case_by_hand() -> None:
    reference = np.log(np.array([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]], np.float32))
    logits = np.log(np.array([[0.25, 0.75], [0.8, 0.2], [0.2, 0.8]], np.float32))
    found = _measure(logits, reference, np.array([0, 1, 0]))
    first = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    second = 0.9 * np.log(0.9 / 0.8) + 0.1 * np.log(0.1 / 0.2)
    assert (found.text, found.tokens) == ("a text", 3)
    assert found.kl == pytest.approx((first + second) / 3, rel=1e-5)
    assert found.kl_median == pytest.approx(second, rel=1e-5)
    assert found.kl_99 == pytest.approx(second + 0.98 * (first - second), rel=1e-5)
    assert found.top1_agreement == pytest.approx(2 / 3)
    # Row 0 predicts token 1, row 1 predicts token 0; nothing follows the last token.
    assert found.perplexity == pytest.approx((0.75 * 0.8) ** -0.5, rel=1e-5)
    assert found.reference_perplexity == pytest.approx((0.5 * 0.9) ** -0.5, rel=1e-5)
    assert found.probability_change == pytest.approx((0.25 - 0.1) / 2, rel=1e-5)
    assert found.probability_change_rms == pytest.approx(((0.25**2 + 0.1**2) / 2) ** 0.5, rel=1e-5)


def test_fidelity_of_a_model_to_itself_is_perfect() -> None:
    logits, tokens = _random(200, 0)
    found = _measure(logits, logits + 3, tokens)  # logits are known up to a constant
    assert found.kl == pytest.approx(0, abs=1e-7)
    assert (found.top1_agreement, found.top1_error) == (1.0, 0.0)
    assert found.perplexity == pytest.approx(found.reference_perplexity)
    assert found.log_ratio == pytest.approx(0, abs=1e-6)
    assert found.probability_change_rms == pytest.approx(0, abs=1e-6)


def test_errors_are_standard_errors_over_positions() -> None:
    (logits, tokens), (reference, _) = _random(150, 1), _random(150, 2)
    found = _measure(logits, reference, tokens)

    def log_probabilities(values: NDArray[np.float32]) -> NDArray[np.float64]:
        wide = values.astype(np.float64)
        return wide - np.log(np.exp(wide).sum(-1, keepdims=True))

    def error(values: NDArray[np.float64]) -> float:
        return float(np.std(values, ddof=1) / np.sqrt(len(values)))

    ours, theirs = log_probabilities(logits), log_probabilities(reference)
    kl = (np.exp(theirs) * (theirs - ours)).sum(-1)
    places = (np.arange(149), tokens[1:])
    right, expected = ours[places], theirs[places]
    assert found.kl_error == pytest.approx(error(kl), rel=1e-4)
    assert found.top1_error == pytest.approx(error(1.0 * (ours.argmax(-1) == theirs.argmax(-1))))
    assert found.perplexity_error == pytest.approx(np.exp(-right.mean()) * error(right), rel=1e-4)
    assert found.log_ratio == pytest.approx(np.log(found.perplexity / found.reference_perplexity))
    assert found.log_ratio_error == pytest.approx(error(expected - right), rel=1e-4)
    change = np.exp(right) - np.exp(expected)
    assert found.probability_change_error == pytest.approx(error(change), rel=1e-4)


def test_rows_that_are_worked_on_together_do_not_matter() -> None:
    (logits, tokens), (reference, _) = _random(130, 3), _random(130, 4)
    expected = _measure(logits, reference, tokens)
    assert _measure(logits, reference, tokens, rows=7) == expected


def test_windows_add_up_in_any_order() -> None:
    windows = [(*_random(length, length), _random(length, 99)[0]) for length in (40, 90, 3)]
    forth, back = FidelityMeter(), FidelityMeter()
    for logits, tokens, reference in windows:
        forth.add(logits, reference, tokens)
    for logits, tokens, reference in reversed(windows):
        back.add(logits, reference, tokens)
    found, expected = asdict(forth.result("t")), asdict(back.result("t"))
    assert found.pop("text") == expected.pop("text")
    assert found["tokens"] == 133
    assert found == pytest.approx(expected, rel=1e-9)


def test_a_meter_leaves_what_it_is_given_alone() -> None:
    (logits, tokens), (reference, _) = _random(20, 5), _random(20, 6)
    before = logits.copy(), reference.copy()
    _measure(logits, reference, tokens)
    assert (logits == before[0]).all()
    assert (reference == before[1]).all()


def test_perplexity_alone_is_that_of_the_comparison() -> None:
    logits, tokens = _random(150, 7)
    meter = PerplexityMeter()
    meter.add(logits, tokens)
    found, compared = meter.result("a text"), _measure(logits, logits, tokens)
    assert (found.text, found.tokens) == ("a text", 149)
    assert found.perplexity == pytest.approx(compared.perplexity)
    assert found.perplexity_error == pytest.approx(compared.perplexity_error)


def test_one_prediction_has_no_error() -> None:
    logits, tokens = _random(2, 8)
    meter = PerplexityMeter()
    meter.add(logits, tokens)
    assert meter.result("a text").perplexity_error == 0.0


def test_log_softmax_survives_large_logits() -> None:
    assert np.allclose(log_softmax(np.array([[1e4, 1e4]], np.float32)), np.log(0.5))
