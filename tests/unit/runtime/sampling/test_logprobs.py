import numpy as np
import pytest

from nanoaccel.runtime.sampling.logprobs import log_probabilities


def exact(row: np.ndarray) -> np.ndarray:
    logits: np.ndarray = row.astype(np.float64) - row.max()
    logits -= np.log(np.exp(logits).sum())
    return logits


@pytest.mark.parametrize("size", [3, 40, 5000])
def test_log_probabilities_are_the_log_softmax(size: int) -> None:
    row = (np.random.default_rng(size).standard_normal(size) * 4).astype(np.float32)
    wanted = exact(row)
    logprob, top = log_probabilities(row, float(row.max()), 2, 20)
    assert logprob == pytest.approx(wanted[2], abs=1e-5)
    order = np.argsort(-wanted, kind="stable")[:20]
    assert [token for token, _ in top] == order.tolist()
    assert [value for _, value in top] == pytest.approx(wanted[order].tolist(), abs=1e-5)


def test_log_probabilities_ties_put_the_lower_id_first() -> None:
    row = np.array([0, 5, 1, 5, 5], np.float32)
    assert [token for token, _ in log_probabilities(row, 5.0, 0, 2)[1]] == [1, 3]
    assert [token for token, _ in log_probabilities(row, 5.0, 0, 4)[1]] == [1, 3, 4, 2]


def test_log_probabilities_of_many_ties_are_in_the_order_of_ids() -> None:
    row = np.zeros(3000, np.float32)
    row[::50] = 2
    assert [token for token, _ in log_probabilities(row, 2.0, 0, 40)[1]] == list(range(0, 2000, 50))


def test_log_probabilities_of_no_top() -> None:
    row = np.zeros(4, np.float32)
    logprob, top = log_probabilities(row, 0.0, 3, 0)
    assert logprob == pytest.approx(np.log(1 / 4))
    assert top == ()


def test_log_probabilities_leave_out_minus_infinity() -> None:
    row = np.array([-np.inf, 0, -np.inf, 0], np.float32)
    logprob, top = log_probabilities(row, 0.0, 0, 3)
    assert logprob == -np.inf
    assert [token for token, _ in top] == [1, 3]
    assert [value for _, value in top] == pytest.approx([np.log(0.5)] * 2)
