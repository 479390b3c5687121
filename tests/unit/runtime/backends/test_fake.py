from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nanoaccel.runtime.backends.fake import FakeBackend, hashed, scripted
from nanoaccel.runtime.types.plan import StepPlan, StepResult

SIZE = 4


def step(
    backend: FakeBackend,
    tokens: Sequence[int],
    blocks: Sequence[int],
    *,
    past: int = 0,
    first_position: int | None = None,
) -> StepResult:
    """Run one sequence; a row of logits for its last token."""
    first = past if first_position is None else first_position
    return backend.forward(
        StepPlan(
            token_ids=np.array(tokens, np.int64),
            positions=np.arange(first, first + len(tokens), dtype=np.int64),
            seq_begins=np.array([0, len(tokens)], np.int32),
            past_lens=np.array([past], np.int32),
            block_ids=np.array(blocks, np.int32),
            block_begins=np.array([0, len(blocks)], np.int32),
            logits_rows=np.array([len(tokens) - 1], np.int64),
        )
    )


def seen(backend: FakeBackend, *arguments: object, **options: object) -> list[int]:
    """The tokens that the rule was given."""
    given: list[list[int]] = []
    backend.rule = scripted(10, lambda tokens: given.append(list(tokens)) or 0)
    step(backend, *arguments, **options)  # type: ignore[arg-type]
    return given[0]


@pytest.fixture
def backend() -> FakeBackend:
    made = FakeBackend(hashed(10), 10, SIZE)
    made.allocate_cache(8)
    step(made, range(9), [5, 2, 7])
    return made


def test_fake_rule_sees_all_tokens(backend: FakeBackend) -> None:
    assert seen(backend, [9], [5, 2, 7], past=9) == list(range(10))


def test_fake_rule_sees_only_what_was_not_dropped(backend: FakeBackend) -> None:
    assert seen(backend, [9], [5, 7], past=5, first_position=9) == [0, 1, 2, 3, 8, 9]


def test_fake_goes_on_after_a_drop(backend: FakeBackend) -> None:
    step(backend, [9, 9], [5, 7], past=5, first_position=9)
    assert seen(backend, [1], [5, 7], past=7, first_position=11) == [0, 1, 2, 3, 8, 9, 9, 1]


@pytest.mark.parametrize(
    ("blocks", "past", "position"),
    [
        ([2, 5, 7], 9, 9),  # in another order
        ([5, 1, 7], 9, 9),  # a block that was never written
        ([5, 7], 5, 5),  # a block is missing, positions do not say so
        ([5, 2, 7], 9, 13),  # positions say so, no block is missing
        ([5, 2, 7], 8, 9),  # a position is left out
        ([5, 2, 7], 9, 8),  # a position twice
    ],
)
def test_fake_refuses_a_wrong_table(
    backend: FakeBackend, blocks: list[int], past: int, position: int
) -> None:
    with pytest.raises(AssertionError):
        step(backend, [9], blocks, past=past, first_position=position)
