from __future__ import annotations

import numpy as np

from nanoaccel.runtime.kv import AttentionScores


def scores_of(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_attention_scores_add_up_by_block() -> None:
    scores = AttentionScores(2)
    scores.add(7, scores_of(1, 2, 3))
    scores.add(7, scores_of(10, 20, 30, 40, 50))
    assert scores.of(7).tolist() == [33, 73, 50]  # type: ignore[union-attr]


def test_attention_scores_keep_nothing_of_the_array_they_were_given() -> None:
    scores = AttentionScores(1)
    given = scores_of(1, 2)
    scores.add(7, given)
    given[:] = 9
    assert scores.of(7).tolist() == [1, 2]  # type: ignore[union-attr]


def test_attention_scores_of_sequences_are_apart() -> None:
    scores = AttentionScores(2)
    scores.add(1, scores_of(1, 1))
    scores.add(2, scores_of(5, 5))
    assert (scores.of(1), scores.of(2)) == (scores_of(2), scores_of(10))
    assert scores.of(3) is None


def test_attention_scores_close_up_over_dropped_blocks() -> None:
    scores = AttentionScores(2)
    scores.add(7, scores_of(1, 1, 2, 2, 3, 3, 4, 4))
    scores.drop(7, [0, 2])
    assert scores.of(7).tolist() == [4, 8]  # type: ignore[union-attr]
    scores.add(7, scores_of(0, 1, 0, 1, 6))
    assert scores.of(7).tolist() == [5, 9, 6]  # type: ignore[union-attr]
    scores.drop(8, [0])


def test_attention_scores_forget_a_sequence() -> None:
    scores = AttentionScores(2)
    scores.add(7, scores_of(1, 1))
    scores.forget(7)
    scores.forget(7)
    assert scores.of(7) is None
