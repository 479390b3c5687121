from __future__ import annotations

from dataclasses import dataclass

import pytest

from nanoaccel.errors import QueueFullError
from nanoaccel.runtime.scheduling.queue_limits import QueueLimits


@dataclass
class Waiting:
    num_prompt: int
    index: int = 0


def test_queue_takes_as_many_requests_as_it_may() -> None:
    limits = QueueLimits(max_waiting=2)
    limits.check([Waiting(9)], [Waiting(9)])
    with pytest.raises(QueueFullError, match=r"max_waiting=2: .* room for 1 requests, not for 2"):
        limits.check([Waiting(9), Waiting(9, 1)], [Waiting(9)])
    assert limits.refused == 2
    with pytest.raises(QueueFullError):
        limits.check([Waiting(9)], [Waiting(9), Waiting(9)])
    assert limits.refused == 3


def test_queue_bounds_the_tokens_of_prompts() -> None:
    limits = QueueLimits(max_waiting=9, max_tokens=10)
    limits.check([Waiting(4)], [Waiting(6), Waiting(6, index=1)])
    with pytest.raises(QueueFullError, match=r"max_queued_tokens=10: prompts of 6 tokens .* has 5"):
        limits.check([Waiting(5)], [Waiting(6)])


def test_empty_queue_takes_a_prompt_of_any_length() -> None:
    QueueLimits(max_waiting=9, max_tokens=10).check([Waiting(50)], [])
