"""Embeddings are made of the states of a prompt, however and wherever it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest

from nanoaccel.runtime.types.plan import Float32Array, StepPlan, StepResult
from nanoaccel.runtime.types.pooling import Pooling, PoolingKind
from nanoaccel.testing.engines import VOCAB_SIZE, Bench
from nanoaccel.text import Tokenizer

PROMPT = [index % 7 for index in range(18)]
RAW_LAST, RAW_MEAN = (
    Pooling(kind="last", normalize=False),
    Pooling(kind="mean", normalize=False),
)


def states(prompt: Sequence[int]) -> Float32Array:
    """What the fake backend tells of a prompt's tokens."""
    tokens, positions = 1 + np.array(prompt), 1 + np.arange(len(prompt))
    return np.column_stack([tokens, positions, np.cumsum(tokens * positions)]).astype(np.float32)


def wanted(prompt: Sequence[int], kind: PoolingKind) -> Float32Array:
    found = states(prompt)
    return found[-1] if kind == "last" else found.mean(axis=0)


@pytest.mark.parametrize("seed", range(6))
def test_embeddings_are_pooled_states(tokenizer: Tokenizer, seed: int) -> None:
    random = Random(seed)
    bench = Bench(
        tokenizer,
        num_blocks=random.choice((14, 40)),
        max_step_tokens=random.choice((1, 5, 32)),
        max_running=random.choice((1, 3, 6)),
    )
    asked = []
    for _ in range(14):
        prompt = PROMPT[: random.choice((0, 8, 18))] + [
            random.randrange(VOCAB_SIZE) for _ in range(random.randint(1, 9))
        ]
        pooling = random.choice((None, RAW_LAST, RAW_MEAN))
        request = bench.submit(
            prompt,
            pooling=pooling,
            max_tokens=6 if pooling is None else 0,
            priority=random.randrange(2),
        )
        asked.append((request, prompt, pooling))
        for _ in range(random.randrange(3)):
            bench.step()
    bench.run()
    for request, prompt, pooling in asked:
        (*others, last) = bench.chunks[request.id]
        assert all(chunk.embedding is None for chunk in others)
        if pooling is None:
            assert last.embedding is None
        else:
            assert (others, last.finish_reason, last.token_ids) == ([], "length", ())
            np.testing.assert_allclose(last.embedding, wanted(prompt, pooling.kind), rtol=1e-5)


def test_last_state_begins_with_cached_tokens_and_the_mean_does_not(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)
    found = []
    for pooling in (RAW_MEAN, RAW_LAST, RAW_MEAN):
        request = bench.submit(PROMPT, pooling=pooling, max_tokens=0)
        bench.run()
        found.append(bench.result(request).stats.cached_tokens)
    assert found == [0, 16, 0]


def test_embedding_is_cut_then_made_a_unit(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)
    request = bench.submit(PROMPT, pooling=Pooling(dimensions=2), max_tokens=0)
    bench.run()
    cut = wanted(PROMPT, "last")[:2]
    (chunk,) = bench.chunks[request.id]
    np.testing.assert_allclose(chunk.embedding, cut / np.linalg.norm(cut), rtol=1e-6)


def test_only_passes_that_embed_ask_for_states_and_none_for_logits(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer, max_step_tokens=12)
    plans: list[tuple[bool, int]] = []
    forward = bench.backend.forward

    def noted(plan: StepPlan) -> StepResult:
        plans.append((plan.states, len(plan.logits_rows)))
        return forward(plan)

    bench.backend.forward = noted  # type: ignore[method-assign]
    bench.submit(PROMPT, pooling=RAW_LAST, max_tokens=0)
    bench.run()
    bench.submit([9, *PROMPT], pooling=RAW_MEAN, max_tokens=0)
    bench.run()
    assert plans == [(False, 0), (True, 0)] + [(True, 0)] * 2


def test_states_that_are_no_numbers_end_their_request_alone(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)
    forward = bench.backend.forward

    def spoiled(plan: StepPlan) -> StepResult:
        result = forward(plan)
        assert result.states is not None
        result.states[plan.token_ids == 3] = np.nan
        return result

    bench.backend.forward = spoiled  # type: ignore[method-assign]
    broken = bench.submit([1, 3], pooling=RAW_MEAN, max_tokens=0)
    whole = bench.submit([1, 2], pooling=RAW_MEAN, max_tokens=0)
    bench.run()
    assert "no embedding" in str(bench.result(broken).error)
    assert bench.chunks[whole.id][-1].embedding is not None


@pytest.mark.parametrize(
    "options",
    [{"kind": "max"}, {"dimensions": 0}, {"dimensions": 1.5}, {"normalize": 1}],
)
def test_pooling_refuses(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options)).replace("kind", "pooling")):
        Pooling(**options)  # type: ignore[arg-type]
