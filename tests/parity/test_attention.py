"""Scores and dropped blocks: the graph attends as torch does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanoaccel.testing import tiny_models

torch = pytest.importorskip("torch")

from nanoaccel.bundle import Bundle  # noqa: E402
from nanoaccel.runtime.backends import Backend, BackendOptions  # noqa: E402
from nanoaccel.runtime.backends.openvino import load  # noqa: E402
from nanoaccel.runtime.types.plan import StepPlan, StepResult  # noqa: E402

pytestmark = pytest.mark.export

SIZE = 32


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model, attn_implementation="eager").eval()


@pytest.fixture(scope="module")
def backend(tiny_bundle: Path) -> Iterator[Backend]:
    graph = Bundle.open(tiny_bundle).graph
    made = load(BackendOptions(graph=graph, precision="f32", attention_scores=True))
    made.allocate_cache(64)
    yield made
    made.close()


def reference(model: Any, tokens: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits [T, V] and attention [T, T], summed over layers and heads.

    ``seen[t]`` tells which keys token t may see.
    """
    mask = torch.from_numpy(np.where(seen, 0.0, -np.inf).astype(np.float32))[None, None]
    with torch.inference_mode():
        out = model(
            torch.from_numpy(tokens)[None],
            attention_mask=mask,
            position_ids=torch.arange(len(tokens))[None],
            output_attentions=True,
        )
    return out.logits[0].numpy(), torch.stack(out.attentions).sum((0, 1, 2)).numpy()


def step(backend: Backend, tokens: np.ndarray, start: int, end: int, places: list[int]):
    """Compute ``tokens[start:end]``; the text's blocks at ``places`` are cached, in scattered ids.

    Gives logits of all new tokens and scores.
    """
    blocks = np.random.default_rng(3).permutation(64)[places]
    count, dropped = end - start, (places[-1] + 1 - len(places)) * SIZE
    result: StepResult = backend.forward(
        StepPlan(
            token_ids=tokens[start:end],
            positions=np.arange(start, end),
            seq_begins=np.array([0, count], np.int32),
            past_lens=np.array([start - dropped], np.int32),
            block_ids=blocks.astype(np.int32),
            block_begins=np.array([0, len(blocks)], np.int32),
            logits_rows=np.arange(count),
        )
    )
    assert result.scores is not None
    return result.logits.copy(), result.scores.copy()


def check(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-3


def test_scores_are_the_attention_that_torch_gives(model: Any, backend: Backend) -> None:
    tokens = np.random.default_rng(0).integers(3, tiny_models.VOCAB_SIZE, 150)
    logits, attention = reference(model, tokens, np.tri(150, dtype=bool))
    for start, end in ((0, 1), (1, 70), (70, 71), (71, 96), (96, 150)):
        found, scores = step(backend, tokens, start, end, list(range(-(-end // SIZE))))
        check(found, logits[start:end])
        check(scores, attention[start:end, :end].sum(axis=0))


def test_dropped_blocks_are_masked_keys(model: Any, backend: Backend) -> None:
    tokens = np.random.default_rng(1).integers(3, tiny_models.VOCAB_SIZE, 260)
    first, second = 130, 200  # blocks 1 and 2 are dropped before the first, 4 before the second
    seen = np.tri(260, dtype=bool)
    seen[first:, SIZE : 3 * SIZE] = False
    seen[second:, 4 * SIZE : 5 * SIZE] = False
    logits, attention = reference(model, tokens, seen)
    full, _ = reference(model, tokens, np.tri(260, dtype=bool))
    assert np.abs(full - logits)[first:].max() > 0.1

    step(backend, tokens, 0, first, [0, 1, 2, 3, 4])
    parts = (
        (first, first + 1, [0, 3, 4]),
        (first + 1, second, [0, 3, 4, 5, 6]),
        (second, 250, [0, 3, 5, 6, 7]),
        (250, 251, [0, 3, 5, 6, 7]),
        (251, 260, [0, 3, 5, 6, 7, 8]),
    )
    for start, end, places in parts:
        found, scores = step(backend, tokens, start, end, places)
        check(found, logits[start:end])
        kept = np.concatenate([np.arange(SIZE) + SIZE * place for place in places])
        check(scores, attention[start:end, kept[kept < end]].sum(axis=0))
