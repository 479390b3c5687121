"""What every backend promises: the same sequence gives the same logits, however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support import tiny_models

from nanoaccel.bundle import Bundle
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import Backend, BackendOptions
from nanoaccel.runtime.backends.fake import FakeBackend, hashed
from nanoaccel.runtime.plan import StepPlan

BLOCKS = 40
Maker = Callable[[Path], Backend]


def make_fake(_: Path) -> Backend:
    return FakeBackend(hashed(tiny_models.VOCAB_SIZE), tiny_models.VOCAB_SIZE)


def make_registered(name: str) -> Maker:
    def make(bundle: Path) -> Backend:
        options = BackendOptions(graph=Bundle.open(bundle).graph, precision="f32")
        made: Backend = BACKENDS.resolve(name)(options)
        return made

    return make


MAKERS = {"fake": make_fake, **{name: make_registered(name) for name in BACKENDS.names()}}


@pytest.fixture(scope="module", params=sorted(MAKERS))
def backend(request: pytest.FixtureRequest, tiny_bundle: Path) -> Iterator[Backend]:
    made = MAKERS[request.param](tiny_bundle)
    made.allocate_cache(BLOCKS)
    yield made
    made.close()
    made.close()


class Sequences:
    """Token sequences with scattered blocks, run in pieces."""

    def __init__(self, backend: Backend, lengths: list[int]) -> None:
        random = np.random.default_rng(sum(lengths))
        self.backend = backend
        self.tokens = [random.integers(3, tiny_models.VOCAB_SIZE, n) for n in lengths]
        free = random.permutation(BLOCKS)
        size = backend.info.block_size
        self.blocks = []
        for length in lengths:
            need = -(-length // size)
            self.blocks.append(free[:need])
            free = free[need:]

    def run(self, pieces: list[tuple[int, int, int]], rows: list[int] | None = None) -> np.ndarray:
        """Compute ``(sequence, start, end)`` pieces in one step; a row for each last token."""
        ends = np.cumsum([end - start for _, start, end in pieces])
        blocks = [self.blocks[s][: -(-end // self.backend.info.block_size)] for s, _, end in pieces]
        plan = StepPlan(
            token_ids=np.concatenate([self.tokens[s][a:b] for s, a, b in pieces]).astype(np.int64),
            positions=np.concatenate([np.arange(a, b) for _, a, b in pieces]).astype(np.int64),
            seq_begins=np.array([0, *ends], np.int32),
            past_lens=np.array([start for _, start, _ in pieces], np.int32),
            block_ids=np.concatenate(blocks).astype(np.int32),
            block_begins=np.cumsum([0, *map(len, blocks)]).astype(np.int32),
            logits_rows=np.array(ends - 1 if rows is None else rows, np.int64),
        )
        return self.backend.forward(plan).logits.copy()


def same(left: np.ndarray, right: np.ndarray) -> bool:
    return bool(np.abs(left - right).max() < 1e-4 * max(1.0, float(np.abs(right).max())))


def test_backend_describes_itself(backend: Backend) -> None:
    info = backend.info
    assert info.vocab_size == tiny_models.VOCAB_SIZE
    assert info.block_size >= 1
    assert info.bytes_per_block >= 1


def test_backend_chunks_equal_the_whole_prompt(backend: Backend) -> None:
    sequences = Sequences(backend, [70])
    whole = sequences.run([(0, 0, 70)])
    for start, end in [(0, 1), (1, 33), (33, 64), (64, 70)]:
        last = sequences.run([(0, start, end)])
    assert same(last, whole)


def test_backend_ragged_batch_equals_each_sequence_alone(backend: Backend) -> None:
    lengths = [1, 5, 32, 33, 64]
    sequences = Sequences(backend, lengths)
    alone = np.concatenate([sequences.run([(s, 0, n)]) for s, n in enumerate(lengths)])
    together = sequences.run([(s, 0, n) for s, n in enumerate(lengths)])
    assert same(together, alone)


def test_backend_mixes_prompts_and_decodes(backend: Backend) -> None:
    sequences = Sequences(backend, [20, 40])
    expected = np.concatenate([sequences.run([(0, 0, 20)]), sequences.run([(1, 0, 40)])])
    sequences.run([(0, 0, 19)])
    sequences.run([(1, 0, 7)])
    assert same(sequences.run([(0, 19, 20), (1, 7, 40)]), expected)


def test_backend_rolls_back_by_a_smaller_length(backend: Backend) -> None:
    sequences = Sequences(backend, [40])
    expected = sequences.run([(0, 0, 30)])
    sequences.run([(0, 30, 40)])
    sequences.tokens[0][25:40] = 5
    wrong = sequences.run([(0, 25, 30)])
    assert not same(wrong, expected)
    sequences.tokens[0] = Sequences(backend, [40]).tokens[0]
    assert same(sequences.run([(0, 25, 30)]), expected)


def test_backend_gives_the_rows_that_are_asked(backend: Backend) -> None:
    sequences = Sequences(backend, [10])
    every = sequences.run([(0, 0, 10)], rows=list(range(10)))
    assert every.shape == (10, backend.info.vocab_size)
    assert same(sequences.run([(0, 0, 10)], rows=[9, 2]), every[[9, 2]])


def test_backend_may_be_asked_for_no_row(backend: Backend) -> None:
    sequences = Sequences(backend, [10])
    whole = sequences.run([(0, 0, 10)])
    assert sequences.run([(0, 0, 5)], rows=[]).shape == (0, backend.info.vocab_size)
    assert same(sequences.run([(0, 5, 10)]), whole)
