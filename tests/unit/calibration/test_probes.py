"""Probes: requests that are beginnings of one sequence, and the comparison of their answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nanoaccel.calibration.probes import (
    STEP_TOKENS,
    Answer,
    Probes,
    choose_probes,
    largest_difference,
    log_softmax,
)

TEXT = [np.arange(10, 90, dtype=np.int64), np.arange(40, 120, dtype=np.int64)]


@pytest.mark.parametrize("context", [2, 5, 9, 34, 64, 66, 1024, 100_000])
@pytest.mark.parametrize("borders", [(), (48,), (62, 64, 1024), (4096,)])
def test_choose_probes_go_on_as_the_sequence_does(context: int, borders: tuple[int, ...]) -> None:
    probes = choose_probes(TEXT, context, borders)
    assert len(probes.tokens) <= context
    assert set(probes.tokens.tolist()) <= set(range(10, 120))
    for probe in probes.requests:
        written = probes.tokens[probe.length : probe.length + probes.written]
        assert written.tolist() == [probe.token] * probes.written


def test_choose_probes_are_longer_than_a_step_and_a_window() -> None:
    lengths = [probe.length for probe in choose_probes(TEXT, 4096, [512, 4096]).requests]
    assert min(lengths) < STEP_TOKENS < max(lengths)
    assert any(512 < length < 600 for length in lengths)
    assert max(lengths) < 1280


def test_choose_probes_are_the_same_each_time() -> None:
    first, second = choose_probes(TEXT, 512), choose_probes(TEXT, 512)
    assert first.tokens.tolist() == second.tokens.tolist()


def test_largest_difference_names_where_it_is() -> None:
    probes, expected, answers = _right()
    assert largest_difference(probes, expected, answers).nats == 0
    token, value = answers[9].found[0]
    answers[9] = Answer(answers[9].probe, answers[9].step, [(token, value - 0.25)])
    worst = largest_difference(probes, expected, answers)
    assert worst.nats == pytest.approx(0.25, abs=1e-6)
    assert (worst.prompt, worst.length) == (64, 65)


def test_largest_difference_of_what_is_no_number_is_infinite() -> None:
    probes, expected, answers = _right()
    answers[0] = Answer(0, 0, [(3, math.nan)])
    assert largest_difference(probes, expected, answers).nats == math.inf


def test_probes_ask_for_short_texts_apart() -> None:
    probes = choose_probes(TEXT, 512, long_border=64)
    assert [len(passage) for passage in probes.passes] == [len(probes.tokens), 64]
    assert {64, 64 + 24} <= {probe.length for probe in probes.requests}

    def read(tokens: np.ndarray) -> np.ndarray:
        """The likeliest token says how long the text is, and where the row stands."""
        logits = np.zeros((len(tokens), 1024), np.float32)
        logits[np.arange(len(tokens)), (len(tokens) > 64) * 512 + np.arange(len(tokens))] = 9
        return logits

    found = probes.ask(read).argmax(-1)
    assert found.tolist() == [row if row < 64 else 512 + row for row in probes.rows.tolist()]


def _right() -> tuple[Probes, np.ndarray, list[Answer]]:
    probes = choose_probes(TEXT, 512)
    logits = np.random.default_rng(0).normal(size=(len(probes.tokens), 128)).astype(np.float32)
    expected = probes.ask(lambda _: logits)
    right = log_softmax(logits)
    answers = [
        Answer(number, step, [(t, float(right[probe.length - 1 + step, t])) for t in (3, 7)])
        for number, probe in enumerate(probes.requests)
        for step in range(probes.written)
    ]
    return probes, expected, answers
