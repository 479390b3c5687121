"""Every example is learned once an epoch, and what is learned stays within its text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from nanoaccel.finetune.data.encode import Example  # noqa: E402
from nanoaccel.finetune.train.batches import collate, plan_epoch  # noqa: E402
from nanoaccel.finetune.train.loop import plan_steps  # noqa: E402
from nanoaccel.finetune.train.options import TrainingOptions  # noqa: E402

pytestmark = pytest.mark.export


def example(ids: list[int], taught: list[bool]) -> Example:
    return Example("", np.array(ids, np.int32), np.array(taught))


@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=50),
    room=st.integers(1, 100),
    most=st.integers(1, 300),
    packed=st.booleans(),
)
def test_plan_epoch_takes_each_example_once_and_fills_no_pass_beyond_its_room(
    lengths: list[int], room: int, most: int, packed: bool
) -> None:
    def plan(epoch: int) -> list[list[list[int]]]:
        return plan_epoch(
            lengths, pass_tokens=room, batch_tokens=most, seed=0, epoch=epoch, packed=packed
        )

    steps = plan(0)
    passes = [one for step in steps for one in step]
    assert sorted(index for one in passes for index in one) == list(range(len(lengths)))
    for one in passes:
        assert one
        sizes = [lengths[index] for index in one]
        computed = sum(sizes) if packed else len(sizes) * max(sizes)
        assert computed <= room or len(one) == 1
    sizes = [sum(lengths[index] for one in step for index in one) for step in steps]
    for place, size in enumerate(sizes):
        assert size <= most or (
            len(steps[place]) == 1 if not packed else sum(map(len, steps[place])) == 1
        )
        if packed and place > 0:  # a step is not closed before it is full
            assert sizes[place - 1] + max(lengths) > most
    assert plan(0) == steps


def test_epochs_have_orders_of_their_own_and_may_end_early() -> None:
    options = TrainingOptions(epochs=2.5, batch_tokens=20)
    steps = plan_steps([10] * 20, options, packed=True)
    assert len(steps) == 25
    assert steps[:10] != steps[10:20]


@pytest.mark.parametrize("packed", [True, False])
def test_collate_learns_nothing_across_texts(packed: bool) -> None:
    texts = [
        example([5, 6, 7], [True, False, True]),
        example([8, 9, 10, 11], [True, True, False, True]),
    ]
    batch = collate(texts, packed=packed)
    ids = batch.ids.flatten()
    assert ids[batch.rows].tolist() == [6, 8, 10]  # what stands before each target
    assert batch.targets.tolist() == [7, 9, 11]
    assert batch.lengths == ((3, 4) if packed else ())
    places = batch.positions.flatten()
    assert places[batch.rows].tolist() == [1, 0, 2]
