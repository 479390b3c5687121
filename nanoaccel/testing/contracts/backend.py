"""What every backend promises: the same sequence gives the same logits, however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias, get_args

import numpy as np
import pytest

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends import Backend, BackendLoader, BackendOptions, CachePrecision
from nanoaccel.testing.sequences import BLOCKS, Sequences, same

CONTRACT = "backend"
MakeBackend: TypeAlias = Callable[..., Backend]


class TestBackend:
    """The suite; ``subject`` loads a backend with ``BackendOptions``."""

    @pytest.fixture(scope="class")
    def make(self, subject: BackendLoader, nanoaccel_bundle: Path) -> MakeBackend:
        """Loads the bundle's graph with some options, and allocates the cache."""
        graph = Bundle.open(nanoaccel_bundle).graph

        def load(**options: object) -> Backend:
            made = subject(BackendOptions(graph=graph, **{"precision": "f32", **options}))  # type: ignore[arg-type]
            made.allocate_cache(BLOCKS)
            return made

        return load

    @pytest.fixture(scope="class")
    def backend(self, make: MakeBackend) -> Iterator[Backend]:
        """A backend in f32."""
        made = make()
        yield made
        made.close()
        made.close()

    @pytest.fixture(scope="class")
    def scoring(self, make: MakeBackend) -> Iterator[Backend]:
        """A backend that tells scores, where it can."""
        try:
            made = make(attention_scores=True)
        except ConfigError as error:
            pytest.skip(str(error))
        yield made
        made.close()

    @pytest.fixture(scope="class")
    def telling(self, make: MakeBackend) -> Iterator[Backend]:
        """A backend that tells states, and scores where it can."""
        try:
            made = make(attention_scores=True, hidden_layers=(0, 2))
        except ConfigError:
            made = make(hidden_layers=(0, 2))
        yield made
        made.close()

    @pytest.fixture(scope="class", params=get_args(CachePrecision))
    def compact(self, request: pytest.FixtureRequest, make: MakeBackend) -> Iterator[Backend]:
        """A backend with each cache precision that it offers on this CPU."""
        try:
            made = make(precision="auto", cache_precision=request.param)
        except ConfigError as error:
            pytest.skip(str(error))
        yield made
        made.close()

    def test_describes_itself(self, backend: Backend) -> None:
        info = backend.info
        assert info.vocab_size > 1
        assert info.block_size >= 1
        assert info.bytes_per_block >= backend.block_bytes >= 1
        assert info.cache_layout

    def test_chunks_equal_the_whole_prompt(self, backend: Backend) -> None:
        sequences = Sequences(backend, [70])
        whole = sequences.run([(0, 0, 70)])
        for start, end in [(0, 1), (1, 33), (33, 64), (64, 70)]:
            last = sequences.run([(0, start, end)])
        assert same(last, whole)

    def test_ragged_batch_equals_each_sequence_alone(self, backend: Backend) -> None:
        lengths = [1, 5, 32, 33, 64]
        sequences = Sequences(backend, lengths)
        alone = np.concatenate([sequences.run([(s, 0, n)]) for s, n in enumerate(lengths)])
        together = sequences.run([(s, 0, n) for s, n in enumerate(lengths)])
        assert same(together, alone)

    def test_mixes_prompts_and_decodes(self, backend: Backend) -> None:
        sequences = Sequences(backend, [20, 40])
        expected = np.concatenate([sequences.run([(0, 0, 20)]), sequences.run([(1, 0, 40)])])
        sequences.run([(0, 0, 19)])
        sequences.run([(1, 0, 7)])
        assert same(sequences.run([(0, 19, 20), (1, 7, 40)]), expected)

    def test_rolls_back_by_a_smaller_length(self, backend: Backend) -> None:
        sequences = Sequences(backend, [40])
        expected = sequences.run([(0, 0, 30)])
        sequences.run([(0, 30, 40)])
        sequences.tokens[0][25:40] = 5
        wrong = sequences.run([(0, 25, 30)])
        assert not same(wrong, expected)
        sequences.tokens[0] = Sequences(backend, [40]).tokens[0]
        assert same(sequences.run([(0, 25, 30)]), expected)

    def test_gives_the_rows_that_are_asked(self, backend: Backend) -> None:
        sequences = Sequences(backend, [10])
        every = sequences.run([(0, 0, 10)], rows=list(range(10)))
        assert every.shape == (10, backend.info.vocab_size)
        assert same(sequences.run([(0, 0, 10)], rows=[9, 2]), every[[9, 2]])

    def test_may_be_asked_for_no_row(self, backend: Backend) -> None:
        sequences = Sequences(backend, [10])
        whole = sequences.run([(0, 0, 10)])
        assert sequences.run([(0, 0, 5)], rows=[]).shape == (0, backend.info.vocab_size)
        assert same(sequences.run([(0, 5, 10)]), whole)

    def test_tells_the_likeliest_tokens_or_nothing(self, backend: Backend) -> None:
        found = Sequences(backend, [10]).step([(0, 0, 10)], rows=[9, 2, 4])
        if found.likeliest is not None:
            assert found.likeliest.tolist() == found.logits.argmax(axis=1).tolist()

    def test_tells_states_when_asked(self, backend: Backend) -> None:
        size = backend.info.state_size
        assert size > 0
        lengths = [5, 40, 1]
        sequences = Sequences(backend, lengths)
        assert sequences.step([(0, 0, 5)]).states is None
        alone = []
        for number, length in enumerate(lengths):
            found = sequences.step([(number, 0, length)], rows=[], states=True).states
            assert found is not None
            alone.append(found.copy())
        assert alone[1].shape == (40, size)
        sequences.step([(0, 0, 2), (1, 0, 30)])
        rest = [(0, 2, 5), (1, 30, 40), (2, 0, 1)]
        together = sequences.step(rest, rows=[2], states=True)
        assert together.states is not None
        assert same(together.states, np.concatenate([alone[0][2:], alone[1][30:], alone[2]]))
        logits = together.logits.copy()
        assert same(sequences.step(rest, rows=[2]).logits, logits)

    def test_pass_sizes_rise_from_one(self, backend: Backend) -> None:
        sizes = backend.info.pass_sizes
        assert list(sizes) == sorted(set(sizes))
        assert sizes == () or sizes[0] == 1
        for tokens in (1, 3, 16, 500):
            assert backend.info.pass_size(tokens) >= tokens

    @pytest.mark.parametrize("pads", [1, 9, 32])
    def test_gives_the_same_when_a_pass_is_padded(self, telling: Backend, pads: int) -> None:
        lengths = [3, 40, 1]
        plain, padded = Sequences(telling, lengths), Sequences(telling, lengths)
        first, then = [(0, 0, 2), (1, 0, 30)], [(0, 2, 3), (1, 30, 40), (2, 0, 1)]
        plain.step(first)
        expected = plain.step(then, rows=[0, 10, 11])
        logits, scores, hidden = (
            np.array(part) for part in (expected.logits, expected.scores, expected.hidden)
        )
        padded.pad_to = 32 + pads
        padded.step(first)
        padded.pad_to = 12 + pads
        found = padded.step(then, rows=[0, 10, 11])
        assert found.hidden is not None
        assert same(found.logits, logits)
        if found.scores is not None:
            np.testing.assert_allclose(found.scores, scores, atol=1e-3)
        assert same(found.hidden, hidden)

    def test_goes_on_after_blocks_were_dropped(self, backend: Backend) -> None:
        size = backend.info.block_size
        start, end = 3 * size + 1, 4 * size + 3
        sequences = Sequences(backend, [end])
        sequences.run([(0, 0, start)])
        undropped = sequences.run([(0, start, end)])
        sequences.drop(0, [1])
        whole = sequences.run([(0, start, end)])
        assert not same(whole, undropped)
        sequences.run([(0, start, start + 2)])
        assert same(sequences.run([(0, start + 2, end)]), whole)

    def test_ignores_what_dropped_blocks_held(self, backend: Backend) -> None:
        size = backend.info.block_size
        logits = []
        for token in (5, 6):
            sequences = Sequences(backend, [3 * size])
            sequences.run([(0, 0, size)])
            sequences.tokens[0][size : 2 * size] = token
            sequences.run([(0, size, 2 * size)])
            sequences.drop(0, [1])
            logits.append(sequences.run([(0, 2 * size, 3 * size)]))
        assert same(*logits)

    def test_blocks_go_to_other_places(self, compact: Backend) -> None:
        sequences = Sequences(compact, [70])
        sequences.run([(0, 0, 69)])
        contents = [np.empty(compact.block_bytes, np.uint8) for _ in sequences.blocks[0]]
        for block, content in zip(sequences.blocks[0], contents, strict=True):
            compact.read_block(int(block), content)
        expected = sequences.run([(0, 69, 70)])

        sequences.blocks[0] = sequences.take(len(contents))
        for block, content in zip(sequences.blocks[0], contents, strict=True):
            compact.write_block(int(block), content)
        assert same(sequences.run([(0, 69, 70)]), expected)

    def test_blocks_hold_the_bytes_that_were_written(self, compact: Backend) -> None:
        sequences = Sequences(compact, [3 * compact.info.block_size])
        sequences.run([(0, 0, 3 * compact.info.block_size)])
        first, second, third = map(int, sequences.blocks[0])
        contents = {
            block: np.empty(compact.block_bytes, np.uint8) for block in (first, second, third)
        }
        for block, content in contents.items():
            compact.read_block(block, content)
        compact.write_block(second, contents[first])
        found = np.zeros(compact.block_bytes, np.uint8)
        for block, expected in ((first, first), (second, first), (third, third)):
            compact.read_block(block, found)
            assert (found == contents[expected]).all()

    def test_a_copy_of_a_block_may_go_on_otherwise(self, backend: Backend) -> None:
        info = backend.info
        if not info.batch_invariant or info.bytes_per_state > 0:
            pytest.skip("no block of it is begun with a copy")
        shared = info.block_size - 1
        sequences = Sequences(backend, [info.block_size + 3, info.block_size + 5])
        sequences.tokens[1][:shared] = sequences.tokens[0][:shared]
        end = len(sequences.tokens[1])
        expected = sequences.run([(1, 0, end)])
        sequences.run([(0, 0, info.block_size + 3)])
        content = np.empty(backend.block_bytes, np.uint8)
        backend.read_block(int(sequences.blocks[0][0]), content)
        sequences.blocks[1] = sequences.take(len(sequences.blocks[1]))
        backend.write_block(int(sequences.blocks[1][0]), content)
        assert same(sequences.run([(1, shared, end)]), expected)

    def test_layouts_differ_with_the_cache_precision(self, make: MakeBackend) -> None:
        layouts = set()
        for precision in ("f16", "f32"):
            try:
                made = make(cache_precision=precision)
            except ConfigError as error:
                pytest.skip(str(error))
            layouts.add(made.info.cache_layout)
            made.close()
        assert len(layouts) == 2

    def test_gives_no_scores_unasked(self, backend: Backend) -> None:
        assert Sequences(backend, [5]).step([(0, 0, 5)]).scores is None

    def test_gives_the_same_logits_with_scores(self, backend: Backend, scoring: Backend) -> None:
        pieces = [(0, 0, 40), (1, 0, 7)]
        lengths = [end for _, _, end in pieces]
        assert same(
            Sequences(scoring, lengths).run(pieces), Sequences(backend, lengths).run(pieces)
        )

    def test_scores_cover_all_cached_tokens_of_each_sequence(self, scoring: Backend) -> None:
        sequences = Sequences(scoring, [20, 40, 33])
        sequences.run([(0, 0, 19), (1, 0, 7)])
        scores = sequences.scores([(0, 19, 20), (1, 7, 40), (2, 0, 33)])
        assert scores.shape == (20 + 40 + 33,)
        assert (scores >= 0).all()
        sums = np.add.reduceat(scores, [0, 20, 60]) / [1, 33, 33]
        np.testing.assert_allclose(sums, sums[0], rtol=1e-4)

    def test_scores_add_up_to_those_of_the_whole(self, scoring: Backend) -> None:
        sequences = Sequences(scoring, [70])
        whole = sequences.scores([(0, 0, 70)])
        total = np.zeros_like(whole)
        for start, end in [(0, 1), (1, 33), (33, 64), (64, 70)]:
            total[:end] += sequences.scores([(0, start, end)])
        np.testing.assert_allclose(total, whole, atol=1e-3)

    def test_scores_only_what_is_left_after_a_drop(self, scoring: Backend) -> None:
        size = scoring.info.block_size
        sequences = Sequences(scoring, [3 * size + 1])
        sequences.run([(0, 0, 3 * size)])
        before = sequences.scores([(0, 3 * size, 3 * size + 1)])
        sequences.drop(0, [1])
        after = sequences.scores([(0, 3 * size, 3 * size + 1)])
        assert after.shape == (2 * size + 1,)
        np.testing.assert_allclose(after.sum(), before.sum(), rtol=1e-4)
