from __future__ import annotations

import numpy as np
import pytest

from nanoaccel.calibration.metrics import fidelity, log_softmax


def test_fidelity_of_a_model_to_itself_is_perfect() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    found = fidelity(logits, logits, np.arange(5))
    assert (found.kl, found.top1_agreement, found.max_logit_difference) == (0.0, 1.0, 0.0)
    assert found.perplexity == found.reference_perplexity
    assert found.tokens == 5


def test_fidelity_matches_a_hand_made_case() -> None:
    reference = np.log(np.array([[0.5, 0.5], [0.9, 0.1]], np.float32))
    logits = np.log(np.array([[0.25, 0.75], [0.8, 0.2]], np.float32))
    found = fidelity(logits, reference, np.array([0, 1]))
    first = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    second = 0.9 * np.log(0.9 / 0.8) + 0.1 * np.log(0.1 / 0.2)
    assert found.kl == pytest.approx((first + second) / 2, rel=1e-5)
    assert found.top1_agreement == 0.5
    assert found.perplexity == pytest.approx(1 / 0.75, rel=1e-5)
    assert found.reference_perplexity == pytest.approx(2.0, rel=1e-5)


def test_log_softmax_survives_large_logits() -> None:
    assert np.allclose(log_softmax(np.array([[1e4, 1e4]], np.float32)), np.log(0.5))
