from __future__ import annotations

from pathlib import Path

import pytest
from support.engines import VOCAB_SIZE, quick

from nanoaccel.runtime.backends.fake import FakeBackend
from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.execution.pass_timing import load_decoding, measure_decoding
from nanoaccel.runtime.kv import CacheShape
from nanoaccel.runtime.types.plan import StepPlan, StepResult


class CountingBackend(FakeBackend):
    """Notes what passes were run."""

    def __init__(self, *, slots: bool = False) -> None:
        super().__init__(quick(), VOCAB_SIZE, slots=slots)
        self.passes: set[tuple[int, int]] = set()

    def forward(self, plan: StepPlan) -> StepResult:
        self.passes.add((len(plan.past_lens), len(plan.token_ids)))
        return super().forward(plan)

    def _check_positions(self, positions: object, past: int) -> None:
        """What stands before them was never computed."""


def measured(backend: CountingBackend, num_blocks: int, folder: Path, sequences: int = 20) -> None:
    shape = CacheShape.of(
        num_blocks=num_blocks,
        block_size=4,
        slots=backend.info.slots,
        sequences=sequences,
        length=4000,
    )
    shape.allocate(backend)
    measure_decoding([LoadedModel("fake", "some graph", backend, shape)], folder)


@pytest.mark.parametrize("slots", [False, True])
def test_decoding_is_of_one_token_of_each_sequence_and_of_a_piece(
    slots: bool, tmp_path: Path
) -> None:
    backend = CountingBackend(slots=slots)
    measured(backend, 1000, tmp_path)
    assert backend.passes == {(1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (1, 128)}


@pytest.mark.parametrize("slots", [False, True])
def test_decoding_keeps_to_the_cache(slots: bool, tmp_path: Path) -> None:
    backend = CountingBackend(slots=slots)
    measured(backend, 2, tmp_path)
    assert backend.passes == {(1, 1), (1, 7)}


def test_decoding_keeps_to_the_slots(tmp_path: Path) -> None:
    backend = CountingBackend(slots=True)
    measured(backend, 1000, tmp_path, sequences=3)
    assert backend.passes == {(1, 1), (2, 2), (1, 128)}


def test_decoding_is_stored_by_key(tmp_path: Path) -> None:
    assert load_decoding(["some graph"], tmp_path) is None
    measured(CountingBackend(), 1000, tmp_path)
    found = load_decoding(["some graph"], tmp_path)
    assert found is not None
    assert set(found[0].decode) == {1, 2, 4, 8, 16}
    assert load_decoding(["some graph", "another"], tmp_path) is None


def test_decoding_that_is_damaged_is_measured_again(tmp_path: Path) -> None:
    measured(CountingBackend(), 1000, tmp_path)
    (file,) = (tmp_path / "pass-times").glob("*.json")
    texts = (
        "",
        "[]",
        '{"decode": {"2": 1}, "prompt_token": 1}',
        '{"decode": {"1": -1}, "prompt_token": 1}',
    )
    for text in texts:
        file.write_text(text)
        assert load_decoding(["some graph"], tmp_path) is None
