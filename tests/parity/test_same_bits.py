"""With NanoAccel's operators, logits of a token are the same bits, whatever else is computed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import tiny_models
from support.sequences import BLOCKS, Sequences

pytest.importorskip("onnxruntime_genai")
pytest.importorskip("torch")

from support.onnx_models import OnnxModel

from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.runtime.backends import Backend, BackendOptions
from nanoaccel.runtime.backends.onnxruntime import load
from nanoaccel.runtime.native import find_operators

OPERATORS = find_operators()
pytestmark = [
    pytest.mark.export,
    pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason),
]
# The usual one, norms of heads, windows, layers without rotation.
KINDS = ("llama", "qwen3", "gemma3_text", "smollm3")
LENGTHS = [150, 70, 45, 9]
SCHEDULES = 12


@pytest.fixture(scope="module", params=KINDS)
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    model = OnnxModel.make(folder, tiny_models.make_model(request.param))
    return model.export(folder / "out", Recipe(weights="int4", group_size=32))[0]


@pytest.fixture(params=["auto", "u8", "u4"])
def backend(graph: Path, request: pytest.FixtureRequest) -> Iterator[Backend]:
    made = load(BackendOptions(graph=graph, cache_precision=request.param))
    assert not made.info.slots
    made.allocate_cache(BLOCKS)
    yield made
    made.close()


def compute(sequences: Sequences, pieces: list[tuple[int, int, int]]) -> list[np.ndarray]:
    """The logits of all tokens of some pieces."""
    ends = np.cumsum([end - start for _, start, end in pieces])
    return np.split(sequences.run(pieces, rows=list(range(ends[-1]))), ends[:-1])


def test_backend_gives_the_same_bits_however_texts_are_scheduled(backend: Backend) -> None:
    sequences = Sequences(backend, LENGTHS)
    alone = [compute(sequences, [(s, 0, n)])[0] for s, n in enumerate(LENGTHS)]
    for seed in range(SCHEDULES):
        random = np.random.default_rng(seed)
        done = [0] * len(LENGTHS)
        while done != LENGTHS:
            left = [s for s, n in enumerate(LENGTHS) if done[s] < n]
            chosen = random.permutation(left)[: random.integers(1, len(left) + 1)]
            most = int(random.choice([1, 4, 200]))
            ends = [min(LENGTHS[s], done[s] + int(random.integers(1, most + 1))) for s in chosen]
            pieces = [(int(s), done[s], end) for s, end in zip(chosen, ends, strict=True)]
            if random.random() < 0.3:  # guesses that turn out wrong
                guess(sequences, pieces, random)
            for (s, start, end), found in zip(pieces, compute(sequences, pieces), strict=True):
                wanted = alone[s][start:end]
                assert np.array_equal(found.view(np.int32), wanted.view(np.int32)), (seed, s, start)
                done[s] = end


def guess(
    sequences: Sequences, pieces: list[tuple[int, int, int]], random: np.random.Generator
) -> None:
    """Compute pieces of other tokens, which the next pass overwrites."""
    right = [tokens.copy() for tokens in sequences.tokens]
    for s, start, end in pieces:
        sequences.tokens[s][start:end] = random.integers(3, tiny_models.VOCAB_SIZE, end - start)
    compute(sequences, pieces)
    sequences.tokens[:] = right
