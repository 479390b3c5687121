"""With NanoAccel's operators, logits of a token are the same bits, whatever else is computed.

NANOACCEL_SCHEDULES=10000 runs so many on each path; a few otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support import tiny_configs

from nanoaccel.testing import tiny_models
from nanoaccel.testing.sequences import BLOCKS, Sequences

pytest.importorskip("onnx_ir")
pytest.importorskip("torch")

from support.onnx_models import OnnxModel

from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.runtime.backends import Backend, BackendOptions
from nanoaccel.runtime.backends.onnxruntime import load
from nanoaccel.runtime.native import find_operators
from nanoaccel.runtime.native.library import ISA, REFERENCE

OPERATORS = find_operators()
pytestmark = [
    pytest.mark.export,
    pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason),
]
LENGTHS = [150, 70, 45, 9]
SHARED = 21  # tokens with which the first three begin

Piece = tuple[int, int, int]  # a sequence, and the tokens of it from one to another


@dataclass(frozen=True)
class Case:
    """A model, how its weights are stored, and how it is loaded.

    Args:
        kind: The model_type.
        recipe: How it is compressed.
        options: Options of the backend, one set for each time that it is loaded.
    """

    kind: str
    recipe: Recipe
    options: tuple[dict[str, str], ...] = ({},)


INT4 = Recipe(weights="int4", group_size=32)
SMALL = ({"cache_precision": "u8"}, {"cache_precision": "u4"})
CASES = [
    Case("llama", INT4, ({}, *SMALL, {"precision": "f32"})),
    Case("qwen3", INT4, ({}, *SMALL)),  # norms of heads
    Case("smollm3", INT4),  # layers without rotation
    Case("gemma3_text", INT4, ({}, {"cache_precision": "u8"})),  # windows, GeGLU, norms behind
    Case("qwen3_moe", INT4),  # experts
    Case("gpt_oss", INT4),  # experts with biases, attention sinks
    Case("llama", Recipe(weights="nf4", group_size=32)),
    Case("gemma3_text", Recipe(weights="f16")),
    Case("phi", Recipe(weights="bf16")),  # LayerNorms, biases, GELU
    Case("olmo", Recipe(weights="int8"), ({}, {"precision": "f32"})),  # LayerNorms
    Case("lfm2", INT4),  # convolutions with a state
    Case("qwen3_5_text", INT4),  # gated delta rules
    Case("granitemoehybrid", INT4),  # scans, and experts
]
LOADED = [(case, options) for case in CASES for options in case.options]
SCHEDULES = -(-int(os.environ.get("NANOACCEL_SCHEDULES", "24")) // len(LOADED))


def name(loaded: tuple[Case, dict[str, str]]) -> str:
    case, options = loaded
    return "-".join([case.kind, case.recipe.weights, *options.values()])


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Graphs that were made, by what they are of."""
    return {"": tmp_path_factory.mktemp("same_bits")}


@pytest.fixture(scope="module", params=LOADED, ids=map(name, LOADED))
def loaded(graphs: dict[str, Path], request: pytest.FixtureRequest) -> tuple[Path, dict[str, str]]:
    """A graph, and the options that it is loaded with."""
    case, options = request.param
    key = f"{case.kind}-{case.recipe.weights}"
    if key not in graphs:
        folder = graphs[""] / key
        folder.mkdir()
        family = tiny_configs.Family(case.kind)
        known = case.kind in tiny_models.CONFIGS
        made = tiny_models.make_model(case.kind) if known else tiny_configs.make_model(family)
        graphs[key] = OnnxModel.make(folder, made).export(folder / "out", case.recipe)[0]
    return graphs[key], options


@pytest.fixture(scope="module")
def alone(loaded: tuple[Path, dict[str, str]]) -> list[np.ndarray]:
    """Logits of all tokens by the scalar reference, each sequence in one pass of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ISA, REFERENCE)
        backend = opened(*loaded)
    sequences = begun_alike(backend)
    found = [compute(sequences, [(s, 0, n)])[0] for s, n in enumerate(LENGTHS)]
    backend.close()
    return found


@pytest.fixture(params=OPERATORS.paths)
def backend(
    loaded: tuple[Path, dict[str, str]],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Backend]:
    monkeypatch.setenv(ISA, request.param)
    made = opened(*loaded)
    yield made
    made.close()


def opened(graph: Path, options: dict[str, str]) -> Backend:
    made = load(BackendOptions(graph=graph, **options))  # type: ignore[arg-type]
    assert made.info.batch_invariant
    made.allocate_cache(BLOCKS)
    return made


def compute(sequences: Sequences, pieces: list[Piece]) -> list[np.ndarray]:
    """The logits of all tokens of some pieces."""
    ends = np.cumsum([end - start for _, start, end in pieces])
    return np.split(sequences.run(pieces, rows=list(range(ends[-1]))), ends[:-1])


def test_backend_gives_the_same_bits_however_texts_are_scheduled(
    backend: Backend, alone: list[np.ndarray]
) -> None:
    sequences = begun_alike(backend)
    for seed in range(SCHEDULES):
        random = np.random.default_rng(seed)
        done = [0] * len(LENGTHS)
        while done != LENGTHS:
            pieces = choose(done, random)
            if random.random() < 0.3:  # guesses that turn out wrong
                guess(sequences, pieces, random)
            for (s, start, end), found in zip(pieces, compute(sequences, pieces), strict=True):
                wanted = alone[s][start:end]
                assert np.array_equal(found.view(np.int32), wanted.view(np.int32)), (seed, s, start)
                done[s] = end
            if random.random() < 0.1:
                move(sequences, int(random.integers(len(LENGTHS))), random)
            if random.random() < 0.03:  # preempted: it begins anew
                s = int(random.integers(len(LENGTHS)))
                done[s] = adopt(sequences, s, done, random)


def begun_alike(backend: Backend) -> Sequences:
    """Sequences of which the first three have their first tokens in common."""
    sequences = Sequences(backend, LENGTHS)
    for tokens in sequences.tokens[:3]:
        tokens[:SHARED] = sequences.tokens[0][:SHARED]
    return sequences


def choose(done: list[int], random: np.random.Generator) -> list[Piece]:
    """Some of the sequences that are not done, and as many tokens of each as the dice say."""
    left = [s for s, n in enumerate(LENGTHS) if done[s] < n]
    chosen = random.permutation(left)[: random.integers(1, len(left) + 1)]
    most = int(random.choice([1, 4, 17, 200]))
    ends = [min(LENGTHS[s], done[s] + int(random.integers(1, most + 1))) for s in chosen]
    return [(int(s), done[s], end) for s, end in zip(chosen, ends, strict=True)]


def guess(sequences: Sequences, pieces: list[Piece], random: np.random.Generator) -> None:
    """Compute pieces of other tokens, which the next pass overwrites."""
    right = [tokens.copy() for tokens in sequences.tokens]
    for s, start, end in pieces:
        sequences.tokens[s][start:end] = random.integers(3, tiny_models.VOCAB_SIZE, end - start)
    compute(sequences, pieces)
    sequences.tokens[:] = right


def adopt(sequences: Sequences, s: int, done: list[int], random: np.random.Generator) -> int:
    """Begin a sequence with a copy of what another computed, where there is any."""
    other, info = int(random.integers(3)), sequences.backend.info
    known = min(SHARED, done[other])
    if s >= 3 or s == other or known == 0 or info.bytes_per_state > 0:
        return 0
    content = np.empty(info.bytes_per_block, np.uint8)
    sequences.backend.read_block(int(sequences.blocks[other][0]), content)
    sequences.backend.write_block(int(sequences.blocks[s][0]), content)
    return known


def move(sequences: Sequences, s: int, random: np.random.Generator) -> None:
    """Bring a sequence's blocks elsewhere and leave noise behind, as through the disk tier."""
    memory, info = sequences.backend, sequences.backend.info
    blocks = sequences.take(len(sequences.blocks[s]))
    saved = np.empty(info.bytes_per_block, np.uint8)
    for source, target in zip(sequences.blocks[s], blocks, strict=True):
        memory.read_block(int(source), saved)
        memory.write_block(int(target), saved)
        noise = random.integers(0, 256, len(saved), np.uint8)
        memory.write_block(int(source), noise)
    sequences.free = np.concatenate([sequences.free, sequences.blocks[s]])
    sequences.blocks[s] = blocks
